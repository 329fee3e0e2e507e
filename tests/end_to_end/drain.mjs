// SIGTERM: the server says that it goes, answers what it was asked, ends streams in good order and spread over the
// time given, and exits with 0 before its deadline.
import assert from 'node:assert/strict';
import { run, Server, test, until } from './support.mjs';

const GET = target => `GET ${target} HTTP/1.1\r\nHost: weir.test\r\n\r\n`;

async function openStreams(server, count, settings) {
    const streams = [];
    for (let i = 0; i < count; i++) streams.push(await server.stream('drain', settings));
    return streams;
}

/** Waits until the server refuses new connections: its drain has begun. */
async function draining(server) {
    await until('the listeners to close', async () => {
        try {
            (await server.connect()).destroy();
            return false;
        } catch {
            return true;
        }
    });
}

test('streams get a retry and a clean last chunk, spread over the drain time, and the exit is 0 (L01)', async () => {
    const drainMs = 1200;
    const server = await Server.start(['--drain', `${drainMs}`, '--retry', '100', '--threads', '2']);
    const streams = await openStreams(server, 24);
    const { last } = await server.publishLines('drain', ['one', 'two']);
    for (const stream of streams) await stream.take(2);
    const ends = streams.map(stream => stream.peer.ended.then(() => {
        stream.destroy();
        return Date.now();
    }));
    server.signal('SIGTERM');
    const times = (await Promise.all(ends)).sort((a, b) => a - b);
    assert.equal(await server.exit(), 0);
    for (const stream of streams) {
        assert.ok(stream.clean, 'a stream has no last chunk');
        assert.equal(stream.lastId, last);
        const { ms } = stream.frames.filter(frame => frame.type === 'retry').at(-1);
        assert.ok(ms >= 100 && ms <= 200, `${ms}`);
        assert.equal(stream.frames.filter(frame => frame.type === 'retry').length, 1, 'no retry before the end');
    }
    // A client that is off the processor meanwhile sees them closer together than they were; not by so much, though.
    assert.ok(times.at(-1) - times[0] >= drainMs / 8, `all within ${times.at(-1) - times[0]} ms`);
});

test('what was asked before the end is answered, readiness is refused, and streams are not begun', async () => {
    const server = await Server.start(['--drain', '4s', '--threads', '1']);
    const streams = await openStreams(server, 5); // the last of them ends in the last second
    const asking = {};
    for (const target of ['/ready', '/health', '/sessions/drain', '/sessions/drain/events']) {
        asking[target] = await server.connect();
        // The answer to the first request shows that the server has read the start of the second one, too.
        asking[target].write(GET('/health') + GET(target).slice(0, 20));
        assert.equal((await asking[target].response()).status, 200);
    }
    const posting = await server.connect();
    posting.write('POST /sessions/drain/events HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n' +
        'Content-Length: 4\r\n\r\n');
    assert.equal((await posting.response()).status, 100);
    server.signal('SIGTERM');
    await draining(server);
    await posting.flush('last');
    assert.equal((await posting.response()).status, 201);
    const answers = {};
    for (const [target, peer] of Object.entries(asking)) {
        await peer.flush(GET(target).slice(20));
        answers[target] = await peer.response();
        assert.equal(answers[target].headers.connection, 'close', target);
        peer.destroy();
    }
    assert.equal(answers['/ready'].status, 503);
    assert.equal(answers['/ready'].code, 'draining');
    assert.equal(answers['/health'].status, 200);
    assert.equal(answers['/sessions/drain'].json.published, 1);
    assert.equal(answers['/sessions/drain/events'].status, 503);
    for (const stream of streams) {
        await stream.ending();
        assert.ok(stream.clean);
        stream.destroy();
    }
    const heard = streams.filter(stream => stream.frames.some(frame => frame.type === 'event' && frame.data === 'last'));
    assert.ok(heard.length > 0, 'nobody heard what was accepted while streams were ending');
    posting.destroy();
    assert.equal(await server.exit(), 0);
});

test('idle connections end at once, and a server without streams is gone at once', async () => {
    const server = await Server.start(['--drain', '10m']);
    const idle = [await server.connect(), await server.connect()];
    idle[0].write(GET('/health'));
    await idle[0].response();
    server.signal('SIGTERM');
    for (const peer of idle) {
        assert.equal((await peer.rest()).length, 0);
        peer.destroy();
    }
    assert.equal(await server.exit(), 0);
});

test('a second signal ends everything at once (L02)', async () => {
    const server = await Server.start(['--drain', '1h']);
    const streams = await openStreams(server, 5);
    server.signal('SIGTERM');
    await until('the drain to be announced', () => /draining/.test(server.errors));
    await draining(server);
    server.signal('SIGTERM');
    assert.equal(await server.exit(), 0);
    for (const stream of streams) await stream.peer.ended;
});

test('SIGINT drains as SIGTERM does; SIGHUP and SIGPIPE are not for it (L07)', async () => {
    const server = await Server.start(['--drain', '1']);
    const [stream] = await openStreams(server, 1);
    for (const name of ['SIGHUP', 'SIGPIPE']) server.child.kill(name);
    await server.publish('drain', 'still here');
    assert.deepEqual(await stream.take(1), ['still here']);
    server.signal('SIGINT');
    await stream.ending();
    assert.ok(stream.clean);
    stream.destroy();
    assert.equal(await server.exit(), 0);
});

test('a reader that has stopped cannot hold the server beyond its deadline (L01)', async () => {
    const server = await Server.start(['--drain', '100', '--stall-timeout', '10m', '--replay', '2000']);
    const [stalled, reading] = await openStreams(server, 2);
    stalled.peer.socket.pause();
    const line = 'x'.repeat(16384);
    for (let i = 0; i < 40; i++) await server.publishLines('drain', new Array(32).fill(line));
    await reading.take(40 * 32);
    server.signal('SIGTERM');
    await reading.ending();
    assert.ok(reading.clean);
    reading.destroy();
    assert.equal(await server.exit(), 0);
    stalled.destroy();
});

await run();
