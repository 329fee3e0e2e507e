// Every route: what it answers, in which shape, and what it refuses with which error.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { run, Server, temporaryDirectory, test, until } from './support.mjs';

const ID = /^[0-9A-Za-z_-]{11}\.[0-9]+$/;

function expect(answer, status, code) {
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.code, code, answer.text);
    if (code !== undefined && answer.text !== '') {
        assert.ok(answer.json.error.message.length > 0);
        assert.equal(answer.headers['content-type'], 'application/json');
    }
    return answer;
}

async function expectNothing(server, session) {
    assert.equal((await server.request('GET', `/sessions/${session}`)).status, 404);
}

// ---- Sessions -----------------------------------------------------------------------------------------------------

test('PUT creates a session once and then confirms it', async () => {
    const server = await Server.start(['--replay', '7']);
    const created = expect(await server.request('PUT', '/sessions/one'), 201);
    assert.deepEqual(Object.keys(created.json).sort(), ['capacity', 'epoch', 'kept', 'name', 'newest', 'oldest',
        'published', 'queue_depth', 'subscribers']);
    assert.equal(created.json.name, 'one');
    assert.equal(created.json.capacity, 7);
    assert.equal(created.json.newest, null);
    const id = await server.publish('one', 'x');
    const again = expect(await server.request('PUT', '/sessions/one'), 200);
    assert.equal(again.json.epoch, created.json.epoch);
    assert.equal(again.json.newest, id);
    assert.ok(id.startsWith(`${created.json.epoch}.`));
});

test('GET tells what a session is and keeps, and does not make one', async () => {
    const server = await Server.start(['--replay', '3']);
    expect(await server.request('GET', '/sessions/two'), 404, 'session_not_found');
    await server.publishLines('two', ['a', 'b', 'c', 'd', 'e']);
    const { json } = expect(await server.request('GET', '/sessions/two'), 200);
    assert.equal(json.published, 5);
    assert.equal(json.kept, 3);
    assert.equal(json.oldest, `${json.epoch}.3`);
    assert.equal(json.newest, `${json.epoch}.5`);
    assert.equal(json.subscribers, 0);
});

test('DELETE ends a session; its name is free at once and begins a new epoch', async () => {
    const server = await Server.start();
    const first = (await server.request('PUT', '/sessions/gone')).json;
    const deleted = await server.request('DELETE', '/sessions/gone');
    assert.equal(deleted.status, 204);
    assert.equal(deleted.headers['content-length'], undefined);
    expect(await server.request('DELETE', '/sessions/gone'), 404, 'session_not_found');
    const second = expect(await server.request('PUT', '/sessions/gone'), 201).json;
    assert.notEqual(second.epoch, first.epoch);
});

test('names have 1 to 64 bytes of one alphabet, percent-encoded or not', async () => {
    const server = await Server.start();
    const longest = 'n'.repeat(64);
    const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._~-';
    for (const name of ['x', longest, alphabet.slice(0, 64), alphabet.slice(3), '.', '..', '~', '-']) {
        const { json } = expect(await server.request('PUT', `/sessions/${name}`), 201);
        assert.equal(json.name, name);
    }
    const encoded = expect(await server.request('GET', '/sessions/%7E'), 200);
    assert.equal(encoded.json.name, '~');
    expect(await server.request('GET', `/sessions/${'%6e'.repeat(64)}`), 200);
    expect(await server.request('PUT', `/sessions/${longest}n`), 400, 'invalid_name');
    expect(await server.request('PUT', `/sessions/${'%6e'.repeat(65)}`), 400, 'invalid_name');
    for (let byte = 1; byte < 256; byte++) {
        if (alphabet.includes(String.fromCharCode(byte))) continue;
        const escape = `%${byte.toString(16).padStart(2, '0')}`;
        const code = byte === 0x0A || byte === 0x0D ? 'bad_target' : 'invalid_name';
        expect(await server.request('PUT', `/sessions/a${escape}b`), 400, code);
    }
    expect(await server.request('PUT', '/sessions/a%00b'), 400, 'bad_target');
    for (const target of ['/sessions/', '/sessions', '/sessions/a/b', '/sessions//events', '/sessions/a/events/'])
        expect(await server.request('GET', target), 404, 'not_found');
    for (const target of ['/sessions/a%', '/sessions/a%4', '/sessions/a%zz', '/sessions/a b', '/sessions/a\xE9'])
        assert.equal((await server.request('PUT', target)).status, 400, target);
});

test('strict sessions appear by PUT alone', async () => {
    const server = await Server.start(['--sessions', 'strict']);
    expect(await server.request('POST', '/sessions/s/events', { body: 'x' }), 404, 'session_not_found');
    expect(await server.request('GET', '/sessions/s/events'), 404, 'session_not_found');
    expect(await server.request('PUT', '/sessions/s'), 201);
    expect(await server.request('POST', '/sessions/s/events', { body: 'x' }), 201);
    const stream = await server.stream('s');
    assert.deepEqual(await stream.take(1), ['x']);
});

test('a session without subscriber and publish ends after the idle time', async () => {
    const server = await Server.start(['--idle-ttl', '100']);
    await server.publish('idle', 'x');
    await until('the idle session to end', async () => (await server.facts('idle')) === null);
    assert.equal(await server.metric('sessions_expired_total'), 1);
});

// ---- Publishing ---------------------------------------------------------------------------------------------------

test('POST publishes the body as one event, whatever its bytes and type are', async () => {
    const server = await Server.start();
    const types = { 'text/plain': 'a\nb', 'application/json': '{"a":[1,2]}', 'application/octet-stream': '',
        '': '\0' };
    let sequence = 1;
    for (const [type, body] of Object.entries(types)) {
        const headers = type ? { 'Content-Type': type } : {};
        const { json } = expect(await server.request('POST', '/sessions/p/events', { headers, body }), 201);
        assert.deepEqual(Object.keys(json), ['id']);
        assert.match(json.id, ID);
        assert.ok(json.id.endsWith(`.${sequence++}`));
    }
});

test('NDJSON publishes one event per line, in order, with ids of the first and last', async () => {
    const server = await Server.start();
    const headers = { 'Content-Type': 'application/x-ndjson; charset=utf-8' };
    const body = '{"n":1}\r\n2\n\n"three"\n \t\n[4]\nnull';
    const { json } = expect(await server.request('POST', '/sessions/nd/events', { headers, body }), 201);
    assert.deepEqual(Object.keys(json), ['first', 'last', 'count']);
    assert.equal(json.count, 5);
    assert.ok(json.first.endsWith('.1') && json.last.endsWith('.5'));
    const stream = await server.stream('nd');
    assert.deepEqual(await stream.take(5), ['{"n":1}', '2', '"three"', '[4]', 'null']);
    const none = expect(await server.request('POST', '/sessions/nd/events', { headers, body: '\n\n' }), 201);
    assert.deepEqual(none.json, { first: null, last: null, count: 0 });
});

test('a bad NDJSON line is named by its number, and nothing is published (S08)', async () => {
    const server = await Server.start();
    const headers = { 'Content-Type': 'application/x-ndjson' };
    for (const line of ['{"a":1', '{"a":1} {"b":2}', 'nope', '\uFEFF1', '[1,]', '"\\ud800"', '1e999', '{"a":1,}']) {
        const body = `{"n":1}\n\n${line}\n{"n":2}\n`;
        const answer = await server.request('POST', '/sessions/bad/events', { headers, body });
        expect(answer, 400, 'invalid_json');
        assert.equal(answer.json.error.line, 3, line);
    }
    await expectNothing(server, 'bad');
    const deep = `${'['.repeat(100000)}${']'.repeat(100000)}`;
    expect(await server.request('POST', '/sessions/bad/events', { headers, body: deep }), 400, 'invalid_json');
});

test('split=lines publishes each line as text, empty ones included', async () => {
    const server = await Server.start();
    const body = 'one\r\n\n{"not":json\nlast';
    const { json } = expect(await server.request('POST', '/sessions/sl/events?split=lines', { body }), 201);
    assert.equal(json.count, 4);
    const stream = await server.stream('sl');
    assert.deepEqual(await stream.take(4), ['one', '', '{"not":json', 'last']);
    expect(await server.request('POST', '/sessions/sl/events?split=words', { body }), 400, 'invalid_split');
});

test('lines that find no room after others did are refused with the number that is published', async () => {
    const server = await Server.start(['--max-bytes', '1m']);
    const body = `small\n${'x'.repeat(900000)}\nnever`;
    const { json } = expect(await server.request('POST', '/sessions/full/events?split=lines', { body }), 503,
        'partly_accepted');
    assert.equal(json.error.accepted, 1);
    assert.equal((await server.facts('full')).published, 1);
    const stream = await server.stream('full');
    assert.deepEqual(await stream.take(1), ['small']);
    const alone = await server.request('POST', '/sessions/full/events?split=lines', { body: 'x'.repeat(900000) });
    expect(alone, 507, 'bytes_limit');
});

test('kinds: given by name, message is the default, gap and end are reserved, breaks are refused (S01)', async () => {
    const server = await Server.start();
    const post = kind => server.request('POST', `/sessions/k/events?event=${kind}`, { body: 'x' });
    for (const kind of ['tick', '%C3%A9t%C3%A9', 'a%20b', 'k'.repeat(64), 'message']) expect(await post(kind), 201);
    const stream = await server.stream('k');
    const kinds = [];
    for (let i = 0; i < 5; i++) kinds.push((await stream.next('event')).kind);
    assert.deepEqual(kinds, ['tick', 'été', 'a b', 'k'.repeat(64), 'message']);
    for (const kind of ['gap', 'end', '%67ap']) expect(await post(kind), 400, 'reserved_event');
    for (const kind of ['', 'k'.repeat(65), '%FF', '%C3']) expect(await post(kind), 400, 'invalid_event');
    for (const kind of ['a%0Ab', 'a%0Db', 'a%00b']) expect(await post(kind), 400, 'bad_target');
    assert.equal((await server.facts('k')).published, 5);
});

test('an event that is not UTF-8 is refused with the place of its first bad byte (S07)', async () => {
    const server = await Server.start();
    const cases = [[[0x61, 0x62, 0xFF], 2], [[0xC3], 0], [[0xED, 0xA0, 0x80], 0], [[0x61, 0xC0, 0x80], 1],
        [[0xF4, 0x90, 0x80, 0x80], 0], [[0xE2, 0x82, 0xAC, 0xE2, 0x82], 3]];
    for (const [bytes, offset] of cases) {
        const body = Buffer.from(bytes);
        const answer = expect(await server.request('POST', '/sessions/u/events', { body }), 400, 'invalid_utf8');
        assert.equal(answer.json.error.offset, offset);
    }
    const body = Buffer.concat([Buffer.from('fine\nbad '), Buffer.from([0x80])]);
    const answer = await server.request('POST', '/sessions/u/events?split=lines', { body });
    expect(answer, 400, 'invalid_utf8');
    assert.equal(answer.json.error.line, 2);
    assert.equal(answer.json.error.offset, 4);
    await expectNothing(server, 'u');
});

test('publishes of a chunked body are the same as of one with a length', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    peer.write('POST /sessions/ch/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '3;note=x\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: dropped\r\n\r\n');
    expect(await peer.response(), 201);
    const stream = await server.stream('ch');
    assert.deepEqual(await stream.take(1), ['abcd']);
});

// ---- Methods and other routes -------------------------------------------------------------------------------------

test('HEAD answers as GET does, without the body (H26)', async () => {
    const server = await Server.start();
    await server.publish('h', 'x');
    for (const target of ['/', '/health', '/ready', '/metrics', '/sessions/h', '/sessions/none']) {
        const get = await server.request('GET', target);
        const head = await server.request('HEAD', target);
        assert.equal(head.status, get.status, target);
        assert.equal(head.headers['content-type'], get.headers['content-type']);
        if (target !== '/metrics') assert.equal(head.headers['content-length'], get.headers['content-length']);
        assert.ok(Number(head.headers['content-length']) > 0);
    }
});

test('an unknown path gets 404, another method 405 with Allow, an unknown method 501 (H18)', async () => {
    const server = await Server.start();
    for (const target of ['/nothing', '/sessions', '/health/', '/Health', '/sessions/x/y/events'])
        expect(await server.request('GET', target), 404, 'not_found');
    const allowed = { '/': 'GET, HEAD', '/health': 'GET, HEAD', '/sessions/x': 'GET, HEAD, PUT, DELETE',
        '/sessions/x/events': 'GET, HEAD, POST' };
    for (const [target, allow] of Object.entries(allowed)) {
        const answer = expect(await server.request('OPTIONS', target), 405, 'method_not_allowed');
        assert.equal(answer.headers.allow, allow);
    }
    for (const method of ['PATCH', 'TRACE'])
        expect(await server.request(method, '/sessions/x'), 405, 'method_not_allowed');
    for (const method of ['BREW', 'get'])
        expect(await server.request(method, '/sessions/x'), 501, 'method_not_known');
    expect(await server.request('M'.repeat(33), '/health'), 400, 'bad_request_line');
});

test('health, readiness, metrics and the page answer as what they are', async () => {
    const server = await Server.start();
    assert.deepEqual((await server.request('GET', '/health')).json, { status: 'ok' });
    assert.deepEqual((await server.request('GET', '/ready')).json, { status: 'ready' });
    const metrics = await server.request('GET', '/metrics');
    assert.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/);
    for (const line of metrics.text.trimEnd().split('\n'))
        assert.match(line, /^(# (HELP|TYPE) weir_[a-z_]+ .+|weir_[a-z_]+ \d+)$/);
    const page = await server.request('GET', '/');
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
    assert.match(page.text, /<!doctype html>/i);
    assert.ok(!/(src|href)="https?:/.test(page.text), 'the page loads something from elsewhere');
    assert.equal(page.headers['cache-control'], 'no-store');
});

test('metrics count what happened', async () => {
    const server = await Server.start(['--replay', '2']);
    await server.publishLines('m', ['a', 'b', 'c']);
    const stream = await server.stream('m');
    await stream.take(2);
    assert.equal(await server.metric('published_total'), 3);
    assert.equal(await server.metric('streams'), 1);
    assert.equal(await server.metric('subscribers'), 1);
    await until('the delivery to be counted', async () => (await server.metric('deliveries_total')) === 2);
    stream.destroy();
    await until('the stream to be gone', async () => (await server.metric('streams')) === 0);
    assert.equal(await server.metric('subscribers'), 0);
});

// ---- Who may ------------------------------------------------------------------------------------------------------

const TOKEN = 'a-token-of-at-least-16-bytes';
const ADMIN = [['POST', '/sessions/x/events'], ['PUT', '/sessions/x'], ['DELETE', '/sessions/x'],
    ['GET', '/metrics']];

test('with a token, publish and admin routes need it; the others do not', async () => {
    const file = path.join(temporaryDirectory(), 'token');
    fs.writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
    const server = await Server.start(['--token-file', file]);
    const wrong = ['', 'Bearer', `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, TOKEN,
        `Bearer  ${TOKEN}`, `Bearer ${TOKEN.toUpperCase()}`];
    for (const [method, target] of ADMIN) {
        const missing = expect(await server.request(method, target, { body: '' }), 401, 'token_required');
        assert.equal(missing.headers['www-authenticate'], 'Bearer');
        for (const authorization of wrong) {
            const headers = { Authorization: authorization };
            expect(await server.request(method, target, { headers }), 401, 'token_required');
        }
    }
    const headers = { Authorization: `bearer ${TOKEN}` };
    expect(await server.request('PUT', '/sessions/x', { headers }), 201);
    expect(await server.request('POST', '/sessions/x/events', { headers, body: 'hi' }), 201);
    expect(await server.request('GET', '/metrics', { headers }), 200);
    expect(await server.request('GET', '/sessions/x'), 200);
    const stream = await server.stream('x');
    assert.deepEqual(await stream.take(1), ['hi']);
    expect(await server.request('DELETE', '/sessions/x', { headers }), 204);
});

for (const kind of ['TCP', 'Unix socket'])
    test(`with an admin listener on ${kind}, its routes are hidden on the public one (A19)`, async () => {
        const socket = path.join(temporaryDirectory(), 'admin.sock');
        const server = await Server.start(['--admin-listen', kind === 'TCP' ? '127.0.0.1:0' : `unix:${socket}`]);
        const address = /^admin on (.*)$/m.exec(server.output)[1];
        const connect = kind === 'TCP' ? { port: Number(address.split(':').pop()) } : { path: socket };
        if (kind !== 'TCP') assert.equal(address, `unix:${socket}`);
        expect(await server.request('GET', '/metrics'), 404, 'not_found');
        expect(await server.request('PUT', '/sessions/x'), 405, 'method_not_allowed');
        const refused = expect(await server.request('POST', '/sessions/x/events', { body: 'x' }), 405,
            'method_not_allowed');
        assert.equal(refused.headers.allow, 'GET, HEAD');
        expect(await server.request('PUT', '/sessions/x', { connect }), 201);
        expect(await server.request('POST', '/sessions/x/events', { connect, body: 'hi' }), 201);
        expect(await server.request('GET', '/metrics', { connect }), 200);
        const both = await server.stream('x');
        assert.deepEqual(await both.take(1), ['hi']);
        const there = await server.stream('x', { connect });
        assert.deepEqual(await there.take(1), ['hi']);
        expect(await server.request('DELETE', '/sessions/x', { connect }), 204);
        server.signal('SIGTERM');
        assert.equal(await server.exit(), 0);
        if (kind !== 'TCP') assert.ok(!fs.existsSync(socket), 'the socket file is left behind');
    });

test('pages of another origin cannot use publish and admin routes', async () => {
    const server = await Server.start();
    for (const origin of ['http://evil.example', 'null', 'http://weir.test.evil.example', 'http://weir.test:81',
        'file://', 'weir.test', 'x'])
        for (const [method, target] of ADMIN)
            expect(await server.request(method, target, { headers: { Origin: origin } }), 403, 'foreign_origin');
    await expectNothing(server, 'x');
    for (const origin of ['http://weir.test', 'https://weir.test', 'http://WEIR.test'])
        assert.ok((await server.request('PUT', '/sessions/x', { headers: { Origin: origin } })).status < 300);
});

test('nothing that a client sends comes back in a head (H30)', async () => {
    const server = await Server.start();
    const answer = await server.request('GET', '/sessions/canary%20canary?canary=1',
        { headers: { Origin: 'http://canary', Canary: 'canary', 'Last-Event-ID': 'canary' } });
    assert.equal(answer.status, 400);
    assert.ok(!JSON.stringify(answer.headers).includes('canary'));
});

await run();
