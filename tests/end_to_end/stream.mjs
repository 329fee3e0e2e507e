// An event stream, byte for byte: its head, its frames, where it starts, and how it ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { hasCommand, leaveOut, options, parseId, run, Server, test, until, within } from './support.mjs';
import { ChunkDecoder } from './wire.mjs';

/** The request of a stream. */
function subscribe(session, { query = '', headers = '', version = '1.1', method = 'GET' } = {}) {
    return `${method} /sessions/${session}/events${query} HTTP/${version}\r\nHost: weir.test\r\n${headers}\r\n`;
}

/** Opens a stream and keeps its body as text, for tests that look at bytes. */
async function openRaw(server, session, settings) {
    const peer = await server.connect();
    peer.write(subscribe(session, settings));
    const head = await peer.head();
    assert.equal(head.status, 200);
    const body = { head, peer, text: '' };
    const chunks = new ChunkDecoder(data => (body.text += data.toString('utf8')));
    const decode = head.headers['transfer-encoding'] === 'chunked'
        ? bytes => chunks.feed(bytes) : bytes => (body.text += bytes.toString('utf8'));
    peer.onData = decode;
    decode(peer.take(peer.received.length));
    body.until = (what, found) => until(what, () => found(body.text));
    return body;
}

/** The text without the `retry:` that begins it, whose number is drawn. */
function withoutRetry(text) {
    const match = /^retry: (\d+)\n\n/.exec(text);
    assert.ok(match, `no retry at the start of ${JSON.stringify(text.slice(0, 60))}`);
    return text.slice(match[0].length);
}

// ---- Bytes --------------------------------------------------------------------------------------------------------

test('the head has what browsers and proxies need, and no length (N14)', async () => {
    const server = await Server.start();
    const { head, peer } = await openRaw(server, 's');
    assert.equal(head.headers['content-type'], 'text/event-stream');
    assert.match(head.headers['cache-control'], /no-store/);
    assert.match(head.headers['cache-control'], /no-transform/);
    assert.equal(head.headers['x-accel-buffering'], 'no');
    assert.equal(head.headers['transfer-encoding'], 'chunked');
    assert.equal(head.headers['content-length'], undefined);
    assert.equal(head.headers.vary, 'Accept');
    peer.destroy();
});

test('SSE frames are exact: id, event unless it is the default, one data line per line (S04-S06, S11)', async () => {
    const server = await Server.start();
    const { epoch } = (await server.request('PUT', '/sessions/sse')).json;
    const payloads = [['plain', 'data: plain'], ['', 'data: '], ['a\nb', 'data: a\ndata: b'],
        ['a\r\nb\rc\n', 'data: a\ndata: b\ndata: c\ndata: '], ['\n', 'data: \ndata: '],
        [' leading', 'data:  leading'], [':colon', 'data: :colon'], ['data: x\n\nevent: forged',
            'data: data: x\ndata: \ndata: event: forged'], ['\uFEFFbom', 'data: \uFEFFbom'],
        ['\u2028\u2029\0é😀', 'data: \u2028\u2029\0é😀']];
    let expected = '';
    for (const [i, [payload, lines]] of payloads.entries()) {
        const event = i % 2 ? 'kind' : undefined;
        await server.publish('sse', payload, { event });
        expected += `id: ${epoch}.${i + 1}\n${event ? 'event: kind\n' : ''}${lines}\n\n`;
    }
    const body = await openRaw(server, 'sse');
    await body.until('all frames', text => withoutRetry(text).length >= expected.length);
    assert.equal(withoutRetry(body.text), expected);
    body.peer.destroy();
});

test('NDJSON frames are exact: one object per line, escaped (S08)', async () => {
    const server = await Server.start();
    const { epoch } = (await server.request('PUT', '/sessions/nd')).json;
    const payloads = ['plain', '', 'a\nb\r', '"quoted" \\ \t', '\0\x1F\x7F', '{"json":true}', '\u2028é😀'];
    for (const [i, payload] of payloads.entries())
        await server.publish('nd', payload, { event: i % 2 ? 'kind "q"' : undefined });
    const body = await openRaw(server, 'nd', { headers: 'Accept: application/x-ndjson\r\n' });
    assert.equal(body.head.headers['content-type'], 'application/x-ndjson');
    await body.until('all lines', text => text.split('\n').length > payloads.length);
    for (const [i, line] of body.text.trimEnd().split('\n').entries()) {
        const object = JSON.parse(line);
        const kind = i % 2 ? { event: 'kind "q"' } : {};
        assert.deepEqual(object, { id: `${epoch}.${i + 1}`, ...kind, data: payloads[i] });
    }
    assert.ok(body.text.startsWith(`{"id":"${epoch}.1","data":"plain"}\n{"id":"${epoch}.2","event":"kind \\"q\\"",`));
    body.peer.destroy();
});

test('retry is drawn for each stream between once and twice the configured time (S19)', async () => {
    const server = await Server.start(['--retry', '500']);
    const seen = new Set();
    for (let i = 0; i < 20; i++) {
        const stream = await server.stream('r');
        const { ms } = await stream.next('retry');
        assert.ok(ms >= 500 && ms <= 1000, `${ms}`);
        seen.add(ms);
        stream.destroy();
    }
    assert.ok(seen.size > 5, 'the times are not spread');
});

test('a quiet stream gets comments, between events only (S10, S20)', async () => {
    const server = await Server.start(['--heartbeat', '50']);
    const sse = await openRaw(server, 'h');
    const ndjson = await openRaw(server, 'h', { headers: 'Accept: application/x-ndjson\r\n' });
    await sse.until('two comments', text => text.split(': keep-alive\n\n').length > 2);
    await ndjson.until('a heartbeat', text => text.includes('{"heartbeat":true}\n'));
    const id = await server.publish('h', 'after');
    await sse.until('the event', text => text.includes(`\n\nid: ${id}\ndata: after\n\n`));
    await sse.until('one more comment', text => /data: after\n\n(: keep-alive\n\n)+$/.test(text));
    assert.equal(withoutRetry(sse.text).replaceAll(': keep-alive\n\n', ''), `id: ${id}\ndata: after\n\n`);
    sse.peer.destroy();
    ndjson.peer.destroy();
});

// ---- Choosing -----------------------------------------------------------------------------------------------------

test('Accept chooses between SSE and NDJSON, and 406 says that there is nothing else (H28)', async () => {
    const server = await Server.start();
    const sse = 'text/event-stream';
    const ndjson = 'application/x-ndjson';
    const choices = [[null, sse], ['*/*', sse], ['text/event-stream', sse], ['TEXT/Event-Stream;charset=utf-8', sse],
        ['application/x-ndjson', ndjson], ['application/x-ndjson, text/event-stream', sse],
        ['application/x-ndjson;q=0.9, text/event-stream;q=0.5', ndjson], ['text/event-stream;q=0, */*', ndjson],
        ['application/*', ndjson], ['application/x-ndjson, */*;q=0.1', ndjson], ['text/html, */*;q=0.8', sse],
        ['application/json, application/x-ndjson;q=0.1', ndjson]];
    for (const [accept, type] of choices) {
        const stream = await server.stream('a', { accept });
        assert.equal(stream.head.headers['content-type'], type, String(accept));
        stream.destroy();
    }
    for (const accept of ['application/json', 'text/html, image/*', 'text/event-stream;q=0',
        'text/event-stream-x', 'x-text/event-stream']) {
        const answer = await server.request('GET', '/sessions/a/events', { headers: { Accept: accept } });
        assert.equal(answer.status, 406, accept);
        assert.equal(answer.code, 'not_acceptable');
    }
});

test('without an id a stream starts at the oldest kept, or with from=now at the next event', async () => {
    const server = await Server.start();
    await server.publishLines('f', ['one', 'two']);
    const oldest = await server.stream('f', { query: '?from=oldest' });
    const standard = await server.stream('f');
    const now = await server.stream('f', { query: '?from=now' });
    await server.publish('f', 'three');
    assert.deepEqual(await oldest.take(3), ['one', 'two', 'three']);
    assert.deepEqual(await standard.take(3), ['one', 'two', 'three']);
    assert.deepEqual(await now.take(1), ['three']);
    const answer = await server.request('GET', '/sessions/f/events?from=then');
    assert.equal(answer.code, 'invalid_from');
});

// ---- Resuming: every outcome of design 4 --------------------------------------------------------------------------

async function expectGap(stream, facts) {
    const frame = await stream.next();
    assert.equal(frame.type, 'gap', `${frame.type} ${frame.data}`);
    assert.equal(frame.id, undefined, 'a gap moves the cursor of its client');
    assert.deepEqual(frame.facts, facts);
}

test('an id inside the window gives everything after it and nothing else', async () => {
    const server = await Server.start(['--replay', '5']);
    const lines = ['1', '2', '3', '4', '5'];
    const { first } = await server.publishLines('w', lines);
    const { epoch } = parseId(first);
    for (let last = 0; last <= 5; last++) {
        const stream = await server.stream('w', { lastId: `${epoch}.${last}` });
        await until('the subscriber', async () => (await server.metric('streams')) === 1);
        assert.deepEqual(await stream.take(5 - last), lines.slice(last));
        assert.equal(stream.frames.filter(frame => frame.type !== 'retry').length, 0);
        stream.destroy();
        await until('its end', async () => (await server.metric('streams')) === 0);
    }
});

test('an id older than the window gives a gap with exactly what is lost, then everything kept (S14)', async () => {
    const server = await Server.start(['--replay', '4']);
    const { first } = await server.publishLines('e', Array.from({ length: 10 }, (_, i) => `${i + 1}`));
    const { epoch } = parseId(first);
    for (let last = 0; last < 6; last++) {
        const stream = await server.stream('e', { lastId: `${epoch}.${last}` });
        await expectGap(stream, { first: last + 1, last: 6, lost: 6 - last, reason: 'evicted', epoch });
        assert.deepEqual(await stream.take(4), ['7', '8', '9', '10']);
        stream.destroy();
    }
    const ndjson = await server.stream('e', { lastId: `${epoch}.1`, accept: 'application/x-ndjson' });
    await expectGap(ndjson, { first: 2, last: 6, lost: 5, reason: 'evicted', epoch });
    assert.deepEqual(await ndjson.take(4), ['7', '8', '9', '10']);
});

test('an id from the future, another epoch, another session or nowhere gives a gap with its reason (E20, E21)',
    async () => {
        const server = await Server.start(['--replay', '2']);
        const old = parseId(await server.publish('r', 'an earlier life')).epoch;
        await server.request('DELETE', '/sessions/r');
        const { epoch } = parseId((await server.publishLines('r', ['1', '2', '3'])).first);
        const other = await server.publish('other', 'x');
        const ids = [[`${epoch}.4`, 'ahead'], [`${epoch}.999999999999`, 'ahead'], [`${old}.1`, 'epoch'],
            [`${old}.0`, 'epoch'], [other, 'session'], ['17', 'malformed'], ['no-id', 'malformed'],
            [`${epoch}.01`, 'malformed'], [`${epoch}.`, 'malformed'], [`${epoch}.3x`, 'malformed'],
            ['x'.repeat(8000), 'malformed'], ['\xE9\xFF', 'malformed'],
            [`${epoch}.99999999999999999999`, 'malformed']];
        for (const [lastId, reason] of ids) {
            for (const way of [{ headers: { 'Last-Event-ID': lastId } },
                { query: `?last_event_id=${encodeURIComponent(lastId)}` }]) {
                const stream = await server.stream('r', way);
                await expectGap(stream, { first: 1, last: 1, lost: null, reason, epoch });
                assert.deepEqual(await stream.take(2), ['2', '3']);
                stream.destroy();
            }
        }
        assert.equal((await server.facts('other')).published, 1);
    });

test('in a session that lost nothing yet such a gap has no range', async () => {
    const server = await Server.start();
    const { epoch } = (await server.request('PUT', '/sessions/n')).json;
    const stream = await server.stream('n', { lastId: 'unknown' });
    await expectGap(stream, { first: null, last: null, lost: null, reason: 'malformed', epoch });
    await server.publish('n', 'first');
    assert.deepEqual(await stream.take(1), ['first']);
});

test('an id of 64 KiB meets the limits of head and target, and where they allow it, a gap (S13)', async () => {
    const server = await Server.start();
    const long = 'x'.repeat(65536);
    const header = await server.request('GET', '/sessions/l/events', { headers: { 'Last-Event-ID': long } });
    assert.equal(header.code, 'head_too_large');
    const query = await server.request('GET', `/sessions/l/events?last_event_id=${long}`);
    assert.equal(query.code, 'target_too_long');
    const wide = await Server.start(['--max-head', '128k']);
    for (const way of [{ lastId: long }, { query: `?last_event_id=${long}` }]) {
        const stream = await wide.stream('l', way);
        assert.equal((await stream.next()).facts.reason, 'malformed');
        stream.destroy();
    }
});

test('the header beats the parameter, an empty one counts as none, and two are refused (S13)', async () => {
    const server = await Server.start();
    const { epoch } = parseId((await server.publishLines('h', ['1', '2', '3'])).first);
    const both = await server.stream('h', { lastId: `${epoch}.2`, query: `?last_event_id=${epoch}.1` });
    assert.deepEqual(await both.take(1), ['3']);
    const empty = await server.stream('h', { lastId: '', query: `?last_event_id=${epoch}.1` });
    assert.deepEqual(await empty.take(2), ['2', '3']);
    const none = await server.stream('h', { lastId: '', query: '?last_event_id=' });
    assert.deepEqual(await none.take(3), ['1', '2', '3']);
    for (const second of [`${epoch}.1`, `${epoch}.2`]) {
        const peer = await server.connect();
        peer.write(subscribe('h', { headers: `Last-Event-ID: ${epoch}.1\r\nLast-Event-ID: ${second}\r\n` }));
        assert.equal((await peer.response()).code, 'repeated_last_event_id');
        peer.destroy();
    }
});

test('two subscribers at different places get each their own events (E12)', async () => {
    const server = await Server.start(['--threads', '1']);
    const { epoch } = parseId((await server.publishLines('t', ['1', '2', '3', '4'])).first);
    const streams = [];
    for (let last = 0; last < 4; last++) streams.push(await server.stream('t', { lastId: `${epoch}.${last}` }));
    await server.publishLines('t', ['5', '6']);
    for (let last = 0; last < 4; last++)
        assert.deepEqual(await streams[last].take(6 - last), ['1', '2', '3', '4', '5', '6'].slice(last));
});

// ---- Ends ---------------------------------------------------------------------------------------------------------

test('DELETE sends everything, then an end event, then the last chunk', async () => {
    const server = await Server.start();
    const streams = [await server.stream('d'), await server.stream('d', { accept: 'application/x-ndjson' })];
    await server.publishLines('d', ['1', '2']);
    await server.request('DELETE', '/sessions/d');
    for (const stream of streams) {
        assert.deepEqual(await stream.take(2), ['1', '2']);
        const end = await stream.next();
        assert.equal(end.type, 'end');
        assert.equal(end.id, undefined);
        assert.deepEqual(end.facts, { reason: 'terminated' });
        await stream.ending();
        assert.ok(stream.clean, 'no last chunk');
        stream.destroy();
    }
});

test('a subscriber to a session that has ended begins a new one, and is told so by its id', async () => {
    const server = await Server.start();
    const id = await server.publish('d', 'before');
    await server.request('DELETE', '/sessions/d');
    const stream = await server.stream('d', { lastId: id });
    const { facts } = await stream.next('gap');
    assert.equal(facts.reason, 'epoch');
    assert.notEqual(facts.epoch, parseId(id).epoch);
    await server.publish('d', 'after');
    assert.deepEqual(await stream.take(1), ['after']);
});

test('an idle session that expires would not have had a subscriber: a stream keeps it', async () => {
    const server = await Server.start(['--idle-ttl', '50']);
    const kept = await server.stream('kept');
    await server.publish('other', 'x');
    await until('the other session to expire', async () => (await server.facts('other')) === null);
    await server.publish('kept', 'still here');
    assert.deepEqual(await kept.take(1), ['still here']);
});

test('to HTTP/1.0 a stream is not chunked and ends with its connection (H27)', async () => {
    const server = await Server.start();
    const stream = await openRaw(server, 'old', { version: '1.0' });
    assert.equal(stream.head.headers['transfer-encoding'], undefined);
    const id = await server.publish('old', 'x');
    await server.request('DELETE', '/sessions/old');
    await until('the end of the connection', () => stream.peer.finished);
    assert.equal(withoutRetry(stream.text),
        `id: ${id}\ndata: x\n\nevent: end\ndata: {"reason":"terminated"}\n\n`);
    stream.peer.destroy();
});

test('HEAD says what GET would and leaves no subscriber and no session (H26)', async () => {
    const server = await Server.start();
    const peer = await server.connect();
    peer.write(subscribe('head', { method: 'HEAD' }));
    const head = await peer.head();
    assert.equal(head.headers['content-type'], 'text/event-stream');
    assert.equal((await peer.rest()).length, 0);
    peer.destroy();
    assert.equal(await server.facts('head'), null);
    assert.equal(await server.metric('subscribers'), 0);
});

test('what a client sends behind its stream request is never answered (N13)', async () => {
    const server = await Server.start();
    const body = await openRaw(server, 'n13');
    await body.peer.flush('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    const id = await server.publish('n13', 'x');
    await body.until('the event', text => text.includes(id));
    assert.equal(withoutRetry(body.text), `id: ${id}\ndata: x\n\n`);
    body.peer.destroy();
});

test('Range and conditions are ignored (H25)', async () => {
    const server = await Server.start();
    await server.publish('range', 'x');
    const stream = await server.stream('range', { headers: { Range: 'bytes=10-', 'If-None-Match': '*' } });
    assert.equal(stream.head.status, 200);
    assert.deepEqual(await stream.take(1), ['x']);
});

test('curl reads a stream', async () => {
    if (!hasCommand('curl')) leaveOut('curl is not installed');
    const server = await Server.start();
    const curl = spawn('curl', ['-sN', '--max-time', '60', `http://${server.address}/sessions/curl/events`]);
    let text = '';
    curl.stdout.on('data', data => (text += data));
    const ended = new Promise(resolve => curl.on('close', resolve));
    const id = await server.publish('curl', 'to curl');
    await until('the event in curl', () => text.includes(`id: ${id}\ndata: to curl\n\n`));
    await server.request('DELETE', '/sessions/curl');
    assert.equal(await within('curl to end', ended), 0, 'curl found the stream cut short');
    assert.ok(text.endsWith('event: end\ndata: {"reason":"terminated"}\n\n'));
});

await run();
