// HTTP/1.1 on the wire: how requests may be cut, joined and ended, and where each limit is.
import assert from 'node:assert/strict';
import os from 'node:os';
import { leaveOut, run, Server, test, until, within } from './support.mjs';

const GET = target => `GET ${target} HTTP/1.1\r\nHost: weir.test\r\n\r\n`;

function post(session, body, headers = '') {
    return `POST /sessions/${session}/events HTTP/1.1\r\nHost: weir.test\r\n${headers}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

async function expectRefusal(peer, status, code) {
    const answer = await peer.response();
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.code, code, answer.text);
    assert.equal(answer.headers.connection, 'close');
    assert.equal((await peer.rest()).length, 0);
    assert.equal(peer.error, null, 'the answer ended in a reset');
    peer.destroy();
}

/** Sends bytes that must be refused, and reads the refusal. */
async function refuse(server, bytes, status, code) {
    const peer = await server.connect();
    peer.write(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1'));
    await expectRefusal(peer, status, code);
}

// ---- Joined and cut -----------------------------------------------------------------------------------------------

test('a hundred pipelined requests are answered in their order', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    let bytes = '';
    for (let i = 0; i < 100; i++) bytes += i % 2 ? GET(`/sessions/none${i}`) : post('pipe', `event ${i}`);
    peer.write(bytes);
    for (let i = 0; i < 100; i++) {
        const answer = await peer.response();
        assert.equal(answer.status, i % 2 ? 404 : 201);
        if (i % 2 === 0) assert.ok(answer.json.id.endsWith(`.${i / 2 + 1}`));
    }
    peer.destroy();
});

test('pipelining more answers than may wait holds the requests back and loses none', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    const count = 400; // pages: far more than a connection may owe
    peer.socket.pause();
    await peer.flush(GET('/').repeat(count));
    peer.socket.resume();
    for (let i = 0; i < count; i++) assert.equal((await peer.response()).status, 200);
    peer.destroy();
});

test('a request cut at every byte is the same request (N09)', async () => {
    const server = await Server.start();
    const bytes = Buffer.from(post('cut', 'one event', 'X-Other: value\r\n'));
    const peer = await server.connect();
    for (let at = 1; at < bytes.length; at++) {
        await peer.flush(bytes.subarray(0, at));
        await peer.flush(bytes.subarray(at));
        assert.equal((await peer.response()).status, 201, `cut at ${at}`);
    }
    assert.equal((await server.facts('cut')).published, bytes.length - 1);
    peer.destroy();
});

test('a chunked request sent in single bytes is the same request (N09, H31)', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    const bytes = 'POST /sessions/chunks/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n';
    for (const byte of bytes) await peer.flush(byte);
    assert.equal((await peer.response()).status, 201);
    const stream = await server.stream('chunks');
    assert.deepEqual(await stream.take(1), ['hello world']);
    peer.destroy();
});

// ---- How connections go on and end --------------------------------------------------------------------------------

test('connections are kept until one side says close', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    for (let i = 0; i < 5; i++) {
        peer.write(GET('/health'));
        assert.equal((await peer.response()).headers.connection, undefined);
    }
    peer.write('GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' + GET('/ready'));
    assert.equal((await peer.response()).headers.connection, 'close');
    assert.equal((await peer.rest()).length, 0, 'a request behind the last one was answered');
    peer.destroy();
});

test('HTTP/1.0 is answered and closed, and kept where it asks for that', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    peer.write('GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.equal((await peer.response()).status, 200);
    peer.write('GET /health HTTP/1.0\r\n\r\n');
    assert.equal((await peer.response()).status, 200);
    assert.equal((await peer.rest()).length, 0);
    peer.destroy();
});

test('a client that half-closes behind its requests gets all answers (N06)', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    peer.write(post('half', 'x') + GET('/sessions/half') + GET('/'));
    peer.finish();
    assert.equal((await peer.response()).status, 201);
    assert.equal((await peer.response()).json.published, 1);
    assert.equal((await peer.response()).status, 200);
    assert.equal((await peer.rest()).length, 0);
    assert.equal(peer.error, null);
});

test('a kept connection without a request ends after the idle time', async () => {
    const server = await Server.start(['--idle-timeout', '100']);
    const fresh = await server.connect();
    const used = await server.connect();
    used.write(GET('/health'));
    assert.equal((await used.response()).status, 200);
    assert.equal((await fresh.rest()).length, 0);
    assert.equal((await used.rest()).length, 0);
});

test('Expect: 100-continue is told to go on only where the body is wanted (H21)', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    const head = target => `POST ${target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
    peer.write(head('/sessions/e/events'));
    assert.equal((await peer.response()).status, 100);
    peer.write('hello');
    assert.equal((await peer.response()).status, 201);
    peer.write(head('/nothing'));
    await expectRefusal(peer, 404, 'not_found');
    await refuse(server, 'GET /health HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n', 417, 'expectation_failed');
    assert.equal((await server.facts('e')).published, 1);
});

test('a body behind a method that has no use for one is never taken for a request (H22)', async () => {
    const server = await Server.start();
    const hidden = GET('/sessions/smuggled');
    for (const method of ['GET', 'DELETE', 'PUT', 'HEAD']) {
        const peer = await server.connect();
        peer.write(`${method} /health HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`);
        const { headers } = await peer.response({ head: method === 'HEAD' });
        if (headers.connection === 'close') {
            assert.equal((await peer.rest()).length, 0);
        } else {
            peer.write(GET('/ready'));
            assert.deepEqual((await peer.response()).json, { status: 'ready' });
        }
        peer.destroy();
    }
});

test('it listens on IPv6 as well, where there is any (N16)', async () => {
    if (!Object.values(os.networkInterfaces()).flat().some(each => each.address === '::1')) leaveOut('this machine has no ::1');
    const server = await Server.start([], { listen: '[::1]:0' });
    assert.match(server.address, /^\[::1\]:\d+$/);
    const connect = { host: '::1' };
    assert.equal((await server.request('POST', '/sessions/six/events', { body: 'x', connect })).status, 201);
    const stream = await server.stream('six', { connect });
    assert.deepEqual(await stream.take(1), ['x']);
});

// ---- Early refusals -----------------------------------------------------------------------------------------------

test('a refusal while the body is still arriving is read whole, not lost to a reset (H23)', async () => {
    const server = await Server.start();
    const body = Buffer.alloc(4 << 20, 'x');
    for (const [target, status] of [['/nothing', 404], ['/health', 405]]) {
        const peer = await server.connect();
        peer.write(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
        await within('the body to be taken', peer.flush(body));
        const answer = await peer.response();
        assert.equal(answer.status, status);
        assert.equal((await peer.rest()).length, 0);
        assert.equal(peer.error, null, 'the answer ended in a reset');
        peer.destroy();
    }
});

test('a body over the limit gets 413, announced or chunked, and leaves nothing (H23)', async () => {
    const server = await Server.start(['--max-body', '1000']);
    const fits = await server.request('POST', '/sessions/b/events', { body: 'x'.repeat(1000) });
    assert.equal(fits.status, 201);
    await refuse(server, post('b', 'x'.repeat(1001)), 413, 'body_too_large');
    await refuse(server, post('b', 'x'.repeat(200000)), 413, 'body_too_large');
    await refuse(server, 'POST /sessions/b/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
        `200\r\n${'x'.repeat(512)}\r\n200\r\n${'x'.repeat(512)}\r\n0\r\n\r\n`, 413, 'body_too_large');
    assert.equal((await server.facts('b')).published, 1);
});

// ---- Limits -------------------------------------------------------------------------------------------------------

test('heads are bounded: the target, the whole, and the number of headers (H19, H20)', async () => {
    const server = await Server.start(['--max-head', '2k', '--max-headers', '10']);
    const head = (target, headers) => `GET ${target} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
    const lines = count => Array.from({ length: count }, (_, i) => `X-${i}: y\r\n`).join('');
    const peer = await server.connect();
    peer.write(head('/health', lines(9)));
    assert.equal((await peer.response()).status, 200);
    const room = 2048 - head('/health', 'X: \r\n').length;
    peer.write(head('/health', `X: ${'y'.repeat(room)}\r\n`));
    assert.equal((await peer.response()).status, 200);
    peer.destroy();
    await refuse(server, head('/health', `X: ${'y'.repeat(room + 1)}\r\n`), 431, 'head_too_large');
    await refuse(server, head('/health', lines(10)), 431, 'too_many_headers');
    await refuse(server, head('/health', `X: ${'y'.repeat(65536)}\r\n`), 431, 'head_too_large');
    await refuse(server, head(`/${'x'.repeat(65536)}`, ''), 414, 'target_too_long');
    await refuse(server, head('/health', lines(10000)), 431, 'too_many_headers');
});

test('events are bounded in size, alone and in lines', async () => {
    const server = await Server.start(['--max-event', '100']);
    const fits = await server.request('POST', '/sessions/big/events', { body: 'x'.repeat(100) });
    assert.equal(fits.status, 201);
    const over = await server.request('POST', '/sessions/big/events', { body: 'x'.repeat(101) });
    assert.equal(over.status, 413);
    assert.deepEqual([over.code, over.json.error.limit, over.json.error.length], ['event_too_large', 100, 101]);
    const lines = await server.request('POST', '/sessions/big/events?split=lines',
        { body: `ok\n${'x'.repeat(101)}\nok\n` });
    assert.equal(lines.status, 413);
    assert.deepEqual([lines.code, lines.json.error.line], ['event_too_large', 2]);
    assert.equal((await server.facts('big')).published, 1);
});

test('an event of the largest size makes the way through, to one and to many', async () => {
    const server = await Server.start();
    const body = `\n${'large '.repeat((1 << 20) / 6)}`.slice(0, 1 << 20);
    const waiting = [await server.stream('large'), await server.stream('large')];
    assert.equal((await server.request('POST', '/sessions/large/events', { body })).status, 201);
    const late = await server.stream('large', { accept: 'application/x-ndjson' });
    for (const stream of [...waiting, late]) assert.equal((await stream.take(1))[0], body);
});

test('sessions are bounded, and one that ends makes room', async () => {
    const server = await Server.start(['--max-sessions', '2']);
    await server.publish('a', 'x');
    await server.publish('b', 'x');
    const over = await server.request('POST', '/sessions/c/events', { body: 'x' });
    assert.equal(over.status, 503);
    assert.equal(over.code, 'sessions_limit');
    assert.ok(Number(over.headers['retry-after']) > 0);
    await server.request('DELETE', '/sessions/a');
    assert.equal((await server.request('PUT', '/sessions/c')).status, 201);
    const stream = await server.request('GET', '/sessions/d/events');
    assert.equal(stream.code, 'sessions_limit');
});

test('bytes of all sessions are bounded: the oldest events go, and what cannot go refuses', async () => {
    const server = await Server.start(['--max-bytes', '4m', '--replay', '1000', '--max-session-bytes', '1g']);
    const body = 'x'.repeat(60000);
    let last;
    for (let i = 0; i < 200; i++) {
        last = await server.request('POST', `/sessions/m${i % 10}/events`, { body });
        assert.equal(last.status, 201, last.text);
    }
    assert.ok((await server.metric('cell_bytes')) <= 4 << 20);
    for (let i = 0; i < 200; i++) {
        last = await server.request('POST', `/sessions/only${i}/events`, { body }); // each keeps its newest
        if (last.status !== 201) break;
    }
    assert.equal(last.status, 507, last.text);
    assert.equal(last.code, 'bytes_limit');
    assert.ok((await server.metric('cell_bytes')) <= 4 << 20);
    assert.equal((await server.request('GET', '/health')).status, 200);
});

test('connections are bounded: one more is told so, those that are there go on', async () => {
    const server = await Server.start(['--max-connections', '3', '--threads', '1']);
    const streams = [await server.stream('c'), await server.stream('c')];
    const third = await server.connect();
    third.write(GET('/health'));
    assert.equal((await third.response()).status, 200);
    await refuse(server, '', 503, 'too_many_connections');
    third.write(post('c', 'still here'));
    assert.equal((await third.response()).status, 201);
    for (const stream of streams) assert.deepEqual(await stream.take(1), ['still here']);
    streams[0].destroy();
    await until('the place to be free again', async () => {
        const peer = await server.connect();
        peer.write(GET('/health'));
        const { status } = await peer.response();
        peer.destroy();
        return status === 200;
    });
});

// ---- What is no request -------------------------------------------------------------------------------------------

const HOST = 'Host: a\r\n';
const refusals = [
    ['H01 both lengths', `POST /health HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
        400, 'conflicting_length'],
    ['H02 two lengths', `POST /health HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, 400,
        'conflicting_length'],
    ['H03 signed length', `POST /health HTTP/1.1\r\n${HOST}Content-Length: +5\r\n\r\nhello`, 400,
        'bad_content_length'],
    ['H04 other coding', `POST /health HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501,
        'transfer_encoding_not_supported'],
    ['H05 coding in 1.0', `POST /health HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, 400,
        'bad_transfer_encoding'],
    ['H06 underscore', `POST /health HTTP/1.1\r\n${HOST}Content_Length: 5\r\n\r\n`, 400, 'bad_header_name'],
    ['H12 bare LF', 'GET /health HTTP/1.1\nHost: a\n\n', 400, 'bad_line_end'],
    ['H13 NUL in a value', `GET /health HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400, 'bad_header_value'],
    ['H14 space before the colon', `GET /health HTTP/1.1\r\n${HOST}X : y\r\n\r\n`, 400, 'bad_header_name'],
    ['H15 folded line', `GET /health HTTP/1.1\r\n${HOST}X: y\r\n z\r\n\r\n`, 400, 'folded_header'],
    ['H16 no Host', 'GET /health HTTP/1.1\r\n\r\n', 400, 'bad_host'],
    ['H16 two Hosts', `GET /health HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400, 'repeated_header'],
    ['H17 HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'version_not_supported'],
    ['H17 lower case', `GET /health http/1.1\r\n${HOST}\r\n`, 400, 'bad_request_line'],
    ['H19 backslash', `GET /a\\b HTTP/1.1\r\n${HOST}\r\n`, 400, 'bad_target'],
    ['TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03', 400, 'bad_request_line'],
];
for (const [name, bytes, status, code] of refusals)
    test(`refused whole, with its reason: ${name}`, async () => {
        const server = await Server.start();
        await refuse(server, bytes + GET('/sessions/smuggled'), status, code);
        assert.ok((await server.metric('requests_refused_total')) >= 1);
    });

await run();
