// Signals of every kind while streams flow: the server stopped and continued, storms of signals that are not for it,
// drains at any instant and a second signal in the middle of them. What was accepted arrives, once; the exit is 0.
//
//     node signals.mjs --weir PATH --io uring|epoll [--seed N]       WEIR_TEST_SCALE: more rounds of each
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { chance, options, parseId, run, Server, test, until } from '../end_to_end/support.mjs';
import { at, count, countAs, Follower, pause, sized, sum } from './rig.mjs';

const SESSION = 'signals';
const KEEP_ALL = ['--replay', '1048576'];
const ROUNDS = sized(20, 5);
const STORM = sized(3000, 500);
const DRAINS = sized(20, 4);

countAs('signals', 'stops and continues', 'signals in storms', 'drains', 'second signals', 'deliveries', 'heartbeats');

async function openFollowers(server, number) {
    const { epoch } = (await server.request('PUT', `/sessions/${SESSION}`)).json;
    const truth = new Map();
    const followers = Array.from({ length: number },
        () => new Follower(at(server), SESSION, { truth, lastId: `${epoch}.0` }).start());
    await until('the streams', async () => (await server.metric('streams')) === number);
    return followers;
}

/** Everybody has everything up to this id, without a gap. */
async function expectAll(followers, id) {
    await until(`all to have ${id}`, () => followers.every(each => each.check() ?? each.lastId === id));
    assert.equal(sum(followers, each => each.ledger.gaps), 0);
}

async function close(followers) {
    count('deliveries', sum(followers, each => each.ledger.received));
    for (const each of followers) await each.stop();
}

/** Waits until the process is in this state: T stopped, S asleep, R running. */
function untilState(server, wanted) {
    return until(`state ${wanted}`, () => wanted.includes(server.state()));
}

test('stopped and continued at any instant, nothing is lost or repeated (T03, R07)', async () => {
    const server = await Server.start(KEEP_ALL);
    const random = chance(options.seed);
    const followers = await openFollowers(server, 8);
    for (let round = 0; round < ROUNDS; round++) {
        const lines = Array.from({ length: 1 + random.below(500) }, (_, i) => `${round}:${i}`);
        const publishing = server.publishLines(SESSION, lines);
        for (let turns = random.below(8); turns > 0; turns--) await new Promise(setImmediate);
        server.child.kill('SIGSTOP');
        await untilState(server, 'T');
        const meanwhile = server.publish(SESSION, `while it stood ${round}`); // the kernel takes it in
        if (random.below(2)) followers[random.below(followers.length)].cut(random.below(2) === 0);
        server.child.kill('SIGCONT');
        count('stops and continues');
        const [{ last }, id] = await Promise.all([publishing, meanwhile]);
        await expectAll(followers, parseId(last).sequence > parseId(id).sequence ? last : id);
    }
    await close(followers);
});

test('after standing still it sends one heartbeat, not all those that were missed (T03)', async () => {
    const every = 50;
    const server = await Server.start(['--heartbeat', `${every}`, '--threads', '1']);
    const stream = await server.stream(SESSION);
    await stream.next('comment');
    server.child.kill('SIGSTOP');
    await untilState(server, 'T');
    await pause(20 * every); // the fault itself: so long does it stand
    stream.frames.length = 0;
    const continued = Date.now();
    server.child.kill('SIGCONT');
    await server.publish(SESSION, 'awake');
    await stream.wait('the event', () => stream.frames.some(frame => frame.type === 'event'));
    const beats = stream.frames.filter(frame => frame.type === 'comment').length;
    count('heartbeats', beats);
    assert.ok(beats <= (Date.now() - continued) / every + 2, `${beats} heartbeats at once`);
});

test("no thread of the server's own takes signals: its handlers run on the main thread (L07)", async () => {
    const server = await Server.start(['--threads', '2', '--demo']);
    const blocked = fs.readdirSync(`/proc/${server.child.pid}/task`).filter(id => Number(id) !== server.child.pid)
        .map(id => BigInt('0x' + /SigBlk:\s*(\w+)/.exec(fs.readFileSync(`/proc/${server.child.pid}/task/${id}/status`))[1]));
    assert.ok(blocked.length >= 3, 'two reactors and the demo');
    for (const mask of blocked)
        for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR1'])
            assert.ok(mask >> BigInt(os.constants.signals[signal] - 1) & 1n, `${signal} is not blocked`);
    await server.stop();
});

test('a storm of signals that are not for it stops nothing (L07)', async () => {
    const server = await Server.start(KEEP_ALL);
    const followers = await openFollowers(server, 8);
    let last = null;
    for (let sent = 0; sent < STORM; sent += 100) {
        const publishing = server.publishLines(SESSION, Array.from({ length: 50 }, (_, i) => `${sent}:${i}`));
        for (let i = 0; i < 100; i++)
            server.child.kill(['SIGHUP', 'SIGPIPE', 'SIGCHLD', 'SIGWINCH', 'SIGURG', 'SIGCONT'][i % 6]);
        count('signals in storms', 100);
        ({ last } = await publishing);
    }
    await expectAll(followers, last);
    assert.equal(sum(followers, each => each.opened), followers.length, 'a stream was lost');
    await close(followers);
});

test('system calls that are interrupted again and again are made again (L07, U12)', async () => {
    // Each stop and continue interrupts every thread in its wait: EINTR, or a restart in the kernel.
    const server = await Server.start(KEEP_ALL);
    const followers = await openFollowers(server, 4);
    let id = null;
    for (let round = 0; round < 4 * ROUNDS; round++) {
        await untilState(server, 'S');
        server.child.kill('SIGSTOP');
        server.child.kill('SIGCONT');
        count('stops and continues');
        id = await server.publish(SESSION, `interrupted ${round}`);
    }
    await expectAll(followers, id);
    await close(followers);
});

/** Drains a server in the middle of its work: some events are accepted, others on their way. */
async function drainOnce(random, second) {
    const server = await Server.start([...KEEP_ALL, '--drain', second ? '1h' : '60']);
    const streams = [];
    for (let i = 0; i < 6; i++) streams.push(await server.stream(SESSION));
    for (const stream of streams) stream.peer.ended.then(() => stream.destroy());
    const line = 'x'.repeat(1 + random.below(8000));
    const { last } = await server.publishLines(SESSION, Array.from({ length: 200 }, () => line));
    const publishing = server.publishLines(SESSION, new Array(100).fill('on its way')).catch(() => null);
    for (let turns = random.below(6); turns > 0; turns--) await new Promise(setImmediate);
    server.signal('SIGTERM');
    if (second) {
        await until('the drain to be announced', () => /draining/.test(server.errors));
        server.signal(random.below(2) ? 'SIGTERM' : 'SIGINT');
        count('second signals');
    }
    assert.equal(await server.exit(), 0);
    await publishing;
    for (const stream of streams) {
        await stream.peer.ended;
        assert.equal(stream.problem, null);
        if (second) continue;
        assert.ok(stream.clean, 'a stream was cut');
        const missing = parseId(last).sequence - parseId(stream.lastId ?? 'none.0').sequence;
        assert.ok(missing <= 0, `${missing} events were accepted before the signal, and not delivered`);
    }
    count('drains');
}

test('a drain at any instant: what was accepted before arrives, streams end in good order, the exit is 0 (L01, L02)',
async () => {
    const random = chance(options.seed);
    for (let round = 0; round < DRAINS; round++) await drainOnce(random, round % 2 === 1);
});

await run();
