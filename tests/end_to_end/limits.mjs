// Peers that are slow, stall, flood or vanish, and descriptors that run out: each ends by its own limit, and nobody
// else notices.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { hasCommand, isInstrumented, leaveOut, run, say, Server, test, until } from './support.mjs';

const GET = target => `GET ${target} HTTP/1.1\r\nHost: weir.test\r\n\r\n`;

/** Keeps all that the tests below publish to one session. */
const LARGE = ['--replay', '4000', '--max-session-bytes', '1g'];

/** A stream that must go on through everything that a test does. */
async function openWitness(server) {
    const stream = await server.stream('witness');
    let published = 0;
    return {
        async check() {
            const line = `still here ${published++}`;
            await server.publish('witness', line);
            assert.deepEqual(await stream.take(1), [line]);
        },
        destroy: () => stream.destroy(),
    };
}

/** Sends a byte now and then until the server has answered. */
async function trickle(peer, bytes) {
    let at = 0;
    const timer = setInterval(() => {
        if (at < bytes.length && !peer.finished) peer.write(bytes.slice(at, ++at));
    }, 20);
    try {
        return await peer.response();
    } finally {
        clearInterval(timer);
    }
}

test('a head that does not arrive in time gets 408, however it trickles (N01)', async () => {
    const server = await Server.start(['--head-timeout', '200']);
    const witness = await openWitness(server);
    const slow = GET('/health').slice(0, -2) + 'X: '.padEnd(3000, 'x');
    const peer = await server.connect();
    const answer = await trickle(peer, slow);
    assert.equal(answer.status, 408);
    assert.equal(answer.code, 'request_timeout');
    assert.equal((await peer.rest()).length, 0);
    peer.destroy();
    await witness.check();
});

test('the second request of a connection has a deadline of its own (N01)', async () => {
    const server = await Server.start(['--head-timeout', '200', '--idle-timeout', '10m']);
    const peer = await server.connect();
    peer.write(GET('/health'));
    assert.equal((await peer.response()).status, 200);
    assert.equal((await trickle(peer, GET('/health').slice(0, 10))).status, 408);
    peer.destroy();
});

for (const [form, head] of [['with a length', 'Content-Length: 100000'], ['chunked', 'Transfer-Encoding: chunked']])
    test(`a body ${form} that does not arrive in time gets 408 and is not published (N02, H31)`, async () => {
        const server = await Server.start(['--body-timeout', '200']);
        const witness = await openWitness(server);
        const peer = await server.connect();
        await peer.flush(`POST /sessions/slow/events HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n`);
        const answer = await trickle(peer, '4000\r\n'.padEnd(3000, 'x'));
        assert.equal(answer.status, 408);
        assert.equal((await peer.rest()).length, 0);
        peer.destroy();
        assert.equal(await server.facts('slow'), null);
        await witness.check();
    });

test('a stream whose reader takes nothing is closed; its session and the others go on (N03)', async () => {
    const server = await Server.start(['--stall-timeout', '1s', ...LARGE]);
    const witness = await openWitness(server);
    const stalled = await server.stream('stall');
    stalled.peer.socket.pause();
    const lines = new Array(64).fill('x'.repeat(16384));
    for (let i = 0; i < 20; i++) await server.publishLines('stall', lines);
    await until('the stalled stream to be closed', async () => (await server.metric('streams')) === 1);
    // A server that is held up for long finds that the kernel was first, which nobody counts (the next test).
    if (!isInstrumented()) assert.equal(await server.metric('stalled_total'), 1);
    await witness.check();
    assert.equal((await server.facts('stall')).published, 64 * 20);
    stalled.peer.socket.resume();
    await stalled.peer.ended;
    assert.ok(!stalled.clean, 'a cut stream pretends to be complete');
    const again = await server.stream('stall', { lastId: stalled.lastId });
    const left = 64 * 20 - Number(stalled.lastId.split('.')[1]);
    assert.equal((await again.take(left)).length, left);
    again.destroy();
    stalled.destroy();
});

/** Whether the kernel still has a connection between these two ports. */
function isEstablished(port, peerPort) {
    const end = number => `:${number.toString(16).toUpperCase().padStart(4, '0')}`;
    return fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map(line => line.trim().split(/\s+/))
        .some(([, local = '', remote = '', state]) =>
            local.endsWith(end(port)) && remote.endsWith(end(peerPort)) && state === '01');
}

test('a stall that the kernel ends, because the server is held up, leaves nothing behind (N03)', async () => {
    const server = await Server.start(['--stall-timeout', '2s', ...LARGE]);
    const descriptors = server.descriptors();
    const stalled = await server.stream('stall');
    stalled.peer.socket.pause();
    const lines = new Array(64).fill('x'.repeat(16384));
    for (let i = 0; i < 20; i++) await server.publishLines('stall', lines);
    process.kill(server.pid, 'SIGSTOP');
    const isThere = () => isEstablished(server.port, stalled.peer.socket.localPort);
    if (!isInstrumented()) assert.ok(isThere(), 'the server was first');
    await until('the kernel to give up', () => !isThere() && !isThere()); // twice: the table moves while it is read
    process.kill(server.pid, 'SIGCONT');
    await until('the stream to be gone', async () => (await server.metric('streams')) === 0);
    await until('the descriptors to be back', () => server.descriptors() === descriptors);
    stalled.destroy();
});

test('a slow reader that takes something now and then is not stalled', async () => {
    const server = await Server.start(['--stall-timeout', '2000', ...LARGE]);
    const slow = await server.stream('slow');
    slow.peer.socket.pause();
    const lines = new Array(64).fill('x'.repeat(16384));
    for (let i = 0; i < 20; i++) await server.publishLines('slow', lines);
    const taker = setInterval(() => {
        slow.peer.socket.resume();
        setImmediate(() => slow.peer.socket.pause());
    }, 10);
    await until('all events', () => slow.frames.filter(frame => frame.type === 'event').length === 64 * 20);
    clearInterval(taker);
    assert.equal(await server.metric('stalled_total'), 0);
});

test('answers that nobody reads are a stall as well', async () => {
    const server = await Server.start(['--stall-timeout', '300']);
    const peer = await server.connect();
    peer.socket.pause();
    peer.write(GET('/').repeat(2000));
    await until('the connection to be closed', async () => (await server.metric('stalled_total')) === 1);
    peer.destroy();
});

test('a client that floods its stream with bytes is cut off (N17)', async () => {
    const server = await Server.start();
    const witness = await openWitness(server);
    const flood = await server.stream('flood');
    const bytes = Buffer.alloc(65536, 'x');
    const timer = setInterval(() => flood.peer.write(bytes), 1);
    await until('the flood to be cut', async () => (await server.metric('streams')) === 1);
    clearInterval(timer);
    await flood.peer.ended;
    flood.destroy();
    await witness.check();
});

test('nothing spins: idle, stalled, half-closed and lingering peers cost no processor time (N06)', async () => {
    // The longest of busy polls: it ends with the traffic as well.
    const server = await Server.start(['--stall-timeout', '10m', '--heartbeat', '0', '--busy-poll', '10000', ...LARGE]);
    for (let i = 0; i < 50; i++) await server.stream('idle');
    const stalled = await server.stream('stalled');
    stalled.peer.socket.pause();
    for (let i = 0; i < 20; i++) await server.publishLines('stalled', new Array(64).fill('x'.repeat(16384)));
    const halfClosed = await server.connect();
    halfClosed.write(GET('/').repeat(500));
    halfClosed.socket.pause();
    halfClosed.finish();
    const midway = await server.connect();
    await midway.flush('GET / HT');
    const refused = await server.connect();
    refused.write('no request\r\n\r\n');
    assert.equal((await refused.response()).status, 400); // and is not closed on this side
    const before = server.processorMs();
    await new Promise(wake => setTimeout(wake, 1000)); // a window to measure in, not a wait for something
    const used = server.processorMs() - before;
    say(`${used} ms of processor time in one second`);
    assert.ok(used < 200, `${used} ms`);
});

// ---- Descriptors --------------------------------------------------------------------------------------------------

async function atBaseline(server, baseline) {
    await until('the descriptors to be back', () => server.descriptors() <= baseline);
}

test('two thousand connects and instant closes leave nothing behind (N07, N11)', async () => {
    const server = await Server.start();
    const witness = await openWitness(server);
    const baseline = server.descriptors();
    for (let round = 0; round < 20; round++) {
        const peers = await Promise.all(Array.from({ length: 100 }, () => server.connect()));
        for (const [i, peer] of peers.entries()) {
            if (i % 4 === 1) peer.write('GET / HT');
            if (i % 4 === 2) peer.write(GET('/sessions/witness/events'));
            if (i % 2) peer.reset();
            else peer.destroy();
        }
    }
    await atBaseline(server, baseline);
    assert.equal(await server.metric('streams'), 1);
    assert.equal(await server.metric('subscribers'), 1);
    await witness.check();
});

test('five hundred idle streams come and go; descriptors return, memory does not grow with each round', async () => {
    const server = await Server.start();
    const witness = await openWitness(server);
    const baseline = server.descriptors();
    const rounds = [];
    for (let round = 0; round < 4; round++) {
        const streams = await Promise.all(Array.from({ length: 500 }, (_, i) => server.stream(`idle${i}`)));
        assert.equal(await server.metric('streams'), 501);
        await Promise.all(streams.map((_, i) => server.publish(`idle${i}`, 'x')));
        for (const stream of streams) assert.deepEqual(await stream.take(1), ['x']);
        for (const stream of streams) stream.destroy();
        await atBaseline(server, baseline);
        await until('the streams to be gone', async () => (await server.metric('streams')) === 1);
        for (let i = 0; i < 500; i++) await server.request('DELETE', `/sessions/idle${i}`);
        rounds.push(server.residentKib());
    }
    say(`resident after each round: ${rounds.join(', ')} KiB`);
    if (!isInstrumented()) assert.ok(rounds[3] < rounds[1] + 4096, 'memory grows with every round');
    await witness.check();
});

test('out of descriptors, accepting pauses, streams go on, and it recovers by itself (R01, U20)', async () => {
    if (!hasCommand('prlimit')) leaveOut('prlimit is not installed');
    const server = await Server.start(['--threads', '1']);
    const stream = await server.stream('want');
    const limit = server.descriptors() + 10;
    const set = spawnSync('prlimit', ['--pid', `${server.pid}`, `--nofile=${limit}:`], { encoding: 'utf8' });
    assert.equal(set.status, 0, set.stderr);
    const asker = await server.connect();
    const ask = async request => {
        asker.write(request);
        return asker.response();
    };
    const metric = async name => {
        const { text } = await ask(GET('/metrics'));
        return Number(new RegExp(`^weir_${name} (\\d+)$`, 'm').exec(text)[1]);
    };
    assert.equal((await ask(GET('/health'))).status, 200);
    const crowd = await Promise.all(Array.from({ length: 30 }, () => server.connect()));
    const late = await server.connect(); // as far as the kernel is concerned; the server cannot take it yet
    late.write(GET('/ready'));
    await until('an accept to fail', async () => (await metric('accept_errors_total')) > 0);
    const answer = await ask('POST /sessions/want/events HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nin want');
    assert.equal(answer.status, 201);
    assert.deepEqual(await stream.take(1), ['in want']);
    assert.ok((await metric('connections')) < crowd.length, 'there was no want');
    for (const peer of crowd) peer.destroy();
    assert.equal((await late.response()).status, 200, 'the one that waited is not served');
    await server.publish('want', 'recovered');
    assert.deepEqual(await stream.take(1), ['recovered']);
    for (const peer of [asker, late]) peer.destroy();
});

test('started with few descriptors it takes fewer connections, and says so when they are reached (R01)', async () => {
    if (!hasCommand('prlimit')) leaveOut('prlimit is not installed');
    const server = await Server.start(['--threads', '1'], { wrapper: ['prlimit', '--nofile=100:100'] });
    const streams = [];
    let refused = null;
    while (refused === null) {
        assert.ok(streams.length < 100, 'more connections than descriptors');
        try {
            streams.push(await server.stream('few'));
        } catch (error) {
            refused = error;
        }
    }
    assert.match(refused.message, /503/);
    assert.ok(streams.length >= 8, `only ${streams.length} connections`);
    streams.pop().destroy();
    await until('a publish to be served', async () => {
        try {
            return await server.publish('few', 'x');
        } catch {
            return null;
        }
    });
    for (const stream of streams) assert.deepEqual(await stream.take(1), ['x']);
});

await run();
