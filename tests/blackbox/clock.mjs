// Clocks that jump, stand still or begin at a great age: no timer goes by the wall clock, a long pause is one late
// turn and no burst, and nothing overflows.
//
//     node clock.mjs --weir PATH --io uring|epoll --clock LIBRARY      (the built shifted_clock)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { options, portToKeep, run, say, Server, temporaryDirectory, test, until } from '../end_to_end/support.mjs';
import { at, count, countAs, Follower, pause, sum } from './rig.mjs';

const SESSION = 'clock';
const HOUR = 3600;
const YEAR = 365 * 24 * HOUR;
const FOLLOWERS = 5;

countAs('clock', 'wall jumps', 'pauses', 'restarts in the past', 'heartbeats', 'expired', 'deliveries');

/** The clocks of one server. */
class Clocks {
    constructor() {
        this.file = path.join(temporaryDirectory(), 'clocks');
        this.values = new BigInt64Array(3); // seconds of wall time, of monotonic time, where the latter is frozen
        fs.writeFileSync(this.file, Buffer.alloc(32)); // and how often they were read
        this.write();
    }

    write() {
        fs.writeFileSync(this.file, Buffer.from(this.values.buffer), { flag: 'r+' });
    }

    get readings() {
        return Number(fs.readFileSync(this.file).readBigInt64LE(24));
    }

    setWall(seconds) {
        this.values[0] = BigInt(seconds);
        this.write();
        count('wall jumps');
    }

    advance(seconds) {
        this.values[1] += BigInt(seconds);
        this.write();
    }

    freeze(atNs) {
        this.values[2] = BigInt(atNs);
        this.write();
    }

    /** One reactor, so that whatever comes makes the same thread look at its clock. */
    async start(extra, settings) {
        const before = this.readings;
        const wrapper = ['env', `LD_PRELOAD=${options.clock}`, `WEIR_CLOCK_FILE=${this.file}`,
            `ASAN_OPTIONS=verify_asan_link_order=0:${process.env.ASAN_OPTIONS ?? ''}`];
        const server = await Server.start(['--threads', '1', ...extra], { wrapper, ...settings });
        assert.ok(this.readings > before, 'the server does not read these clocks');
        return server;
    }
}

async function openFollowers(server) {
    const { epoch } = (await server.request('PUT', `/sessions/${SESSION}`)).json;
    const truth = new Map();
    const followers = Array.from({ length: FOLLOWERS },
        () => new Follower(at(server), SESSION, { truth, lastId: `${epoch}.0` }).start());
    await until('the streams', () => followers.every(each => each.check() ?? each.stream));
    return followers;
}

async function publishTo(server, followers, data) {
    const id = await server.publish(SESSION, data);
    await until('all to have it', () => followers.every(each => each.check() ?? each.lastId === id));
}

async function close(followers) {
    assert.equal(sum(followers, each => each.ledger.gaps), 0);
    assert.equal(sum(followers, each => each.opened), followers.length, 'a stream was ended');
    count('deliveries', sum(followers, each => each.ledger.received));
    for (const each of followers) await each.stop();
}

test('the wall clock jumps by hours and years, and no timer notices (T01)', async () => {
    const clocks = new Clocks();
    const server = await clocks.start(['--idle-ttl', '10m', '--heartbeat', '10m', '--idle-timeout', '10m',
        '--head-timeout', '10m', '--stall-timeout', '10m']);
    const followers = await openFollowers(server);
    await server.publish('idle', 'kept as long as the monotonic clock says');
    const idle = await server.connect();
    const midway = await server.connect();
    await midway.flush('GET /health HT');
    for (const seconds of [HOUR, -HOUR, 10 * YEAR, -10 * YEAR, 0]) {
        clocks.setWall(seconds);
        clocks.advance(2); // past the next sweep, which would end sessions
        await publishTo(server, followers, `with the clock off by ${seconds} s`);
        await server.metric('sessions');
    }
    assert.equal(await server.metric('heartbeats_total'), 0);
    assert.equal(await server.metric('sessions_expired_total'), 0);
    assert.equal(await server.metric('stalled_total'), 0);
    midway.write('TP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await midway.response()).status, 200);
    idle.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await idle.response()).status, 200);
    for (const peer of [idle, midway]) peer.destroy();
    await close(followers);
});

test('restarted again and again at one wall time, and in the past, it never repeats an epoch (T01, L03)', async () => {
    const port = await portToKeep();
    const clocks = new Clocks();
    const follower = new Follower(at({ port }), SESSION).start();
    for (let life = 0; life < 10; life++) {
        clocks.setWall(-Math.floor(Date.now() / 1000) + 1000000 - life); // the same time, then a little less
        const server = await clocks.start(['--retry', '1'], { listen: `127.0.0.1:${port}` });
        const id = await server.publish(SESSION, `life ${life}`);
        await until('the event', () => follower.check() ?? follower.lastId === id);
        await server.kill();
        count('restarts in the past');
    }
    await follower.stop();
    assert.equal(follower.resumes.epoch, 9, 'a restart was not told');
    assert.equal(follower.ledger.epochs.size, 9, 'an epoch came back');
});

test('a pause of ten minutes: one heartbeat, what is due expires once, streams go on (T03)', async () => {
    const clocks = new Clocks();
    const server = await clocks.start(['--heartbeat', '15s', '--idle-ttl', '5m', '--idle-timeout', '60s']);
    const followers = await openFollowers(server);
    for (let i = 0; i < 20; i++) await server.publish(`idle-${i}`, 'x');
    const idle = await server.connect();
    idle.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    await idle.response();
    for (let round = 1; round <= 3; round++) {
        server.child.kill('SIGSTOP');
        await until('it to stand', () => server.state() === 'T');
        clocks.advance(600);
        server.child.kill('SIGCONT');
        const beats = round * FOLLOWERS;
        await until('one heartbeat each', async () => (await server.metric('heartbeats_total')) >= beats);
        await until('the idle sessions to end', async () => (await server.metric('sessions_expired_total')) === 20);
        await publishTo(server, followers, `awake ${round}`);
        assert.equal(await server.metric('heartbeats_total'), beats, 'a burst of heartbeats');
        count('pauses');
    }
    assert.equal((await idle.rest()).length, 0);
    idle.destroy();
    assert.equal(await server.metric('sessions'), 1, 'the one that has subscribers stays');
    count('heartbeats', await server.metric('heartbeats_total'));
    count('expired', await server.metric('sessions_expired_total'));
    await close(followers);
});

test('a machine that has been up for two hundred years has timers that work (T02)', async () => {
    const clocks = new Clocks();
    clocks.advance(200 * YEAR);
    const server = await clocks.start(['--heartbeat', '50', '--head-timeout', '100', '--idle-ttl', '100']);
    await server.publish('idle', 'x');
    const followers = await openFollowers(server);
    const midway = await server.connect();
    await midway.flush('GET /health HT');
    assert.equal((await midway.response()).status, 408);
    midway.destroy();
    await until('heartbeats', async () => (await server.metric('heartbeats_total')) > FOLLOWERS);
    await until('the idle session to end', async () => (await server.metric('sessions_expired_total')) === 1);
    await publishTo(server, followers, 'still here');
    await close(followers);
});

test('a clock that stands still stops timers, but neither events nor the processor (T07)', async () => {
    const clocks = new Clocks();
    const server = await clocks.start(['--heartbeat', '50']);
    const followers = await openFollowers(server);
    clocks.freeze(1e15);
    for (let i = 0; i < 100; i++) await publishTo(server, followers, `frozen ${i}`);
    const before = server.processorMs();
    await pause(500); // a window to measure in, not a wait for something
    const used = server.processorMs() - before;
    say(`${used} ms of processor time in half a second`);
    assert.ok(used < 100, `${used} ms: it spins`);
    clocks.freeze(0);
    await publishTo(server, followers, 'it runs again');
    await close(followers);
});

await run();
