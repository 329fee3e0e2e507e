// What networks and peers do: windows that close, resets at every stage, half-closed connections, connections that the
// kernel kills, peers that vanish, packets that are lost. Others do not notice, nothing is left behind, and whoever
// comes back has everything exactly, or is told what is gone.
//
//     sh in_network.sh node network.mjs --weir PATH --io uring|epoll [--seed N]      WEIR_TEST_SCALE: more rounds
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { chance, hasCommand, isInstrumented, leaveOut, options, run, say, Server, skip, test, until }
    from '../end_to_end/support.mjs';
import { at, count, countAs, Follower, sized, sum } from './rig.mjs';

if (!/^\s*lo:/m.test(fs.readFileSync('/proc/net/dev', 'utf8')) || /^\s*(eth|en|wl)\w+:/m.test(
    fs.readFileSync('/proc/net/dev', 'utf8'))) skip('this needs a network of its own: start it with in_network.sh');

const SESSION = 'network';
const ROUNDS = sized(10, 3);
const EVENT_BYTES = 4096;
const STALLED = 20;
const SWAYING = 8;

countAs('network', 'deliveries', 'gaps', 'lost and told', 'closed windows', 'dropped', 'resets', 'half-closes',
    'killed connections', 'vanished peers', 'resumes');

function command(...words) {
    const { status, stdout, stderr } = spawnSync(words[0], words.slice(1), { encoding: 'utf8' });
    assert.equal(status, 0, `${words.join(' ')}: ${stderr}`);
    return stdout;
}

// ---- Followers ----------------------------------------------------------------------------------------------------

/** Followers from the first event on, all of one truth. */
class Audience {
    static async open(server, number, settings = {}) {
        const audience = new Audience();
        audience.server = server;
        audience.truth = settings.truth ?? new Map();
        const { epoch } = (await server.request('PUT', `/sessions/${SESSION}`)).json;
        audience.followers = Array.from({ length: number }, () => new Follower(at(server), SESSION,
            { lastId: `${epoch}.0`, ...settings, truth: audience.truth }).start());
        await until('the streams', () => audience.followers.every(each => each.check() ?? each.stream));
        return audience;
    }

    /** Waits until everybody has everything up to this id, be it as an event or in a gap. */
    async have(id) {
        await until(`all to have ${id}`, () => this.followers.every(each => each.check() ?? each.lastId === id));
    }

    get gaps() {
        return sum(this.followers, each => each.ledger.gaps);
    }

    pause(which = () => true) {
        for (const each of this.followers.filter(which)) each.stream?.peer.socket.pause();
    }

    resume() {
        for (const each of this.followers) each.stream?.peer.socket.resume();
    }

    async close() {
        for (const each of this.followers) await each.stop();
        count('deliveries', sum(this.followers, each => each.ledger.received));
        count('gaps', this.gaps);
        count('lost and told', sum(this.followers, each => each.ledger.lost));
        count('resumes', sum(this.followers, ({ resumes }) => resumes.event + resumes.gap + resumes.epoch));
    }
}

let written = 0;

function publishSome(server, number, bytes = 10) {
    return server.publishLines(SESSION, Array.from({ length: number }, () => `${++written} `.padEnd(bytes, 'x')));
}

async function backToBaseline(server, baseline) {
    await until('only the one to be left that asks', async () => (await server.metric('connections')) === 1);
    await until('the descriptors to be back', () => server.descriptors() === baseline);
    assert.equal(await server.metric('streams'), 0);
    assert.equal(await server.metric('subscribers'), 0);
    assert.equal(server.errors, '', 'peers can make it write lines');
}

// ---- Closed windows -----------------------------------------------------------------------------------------------

const RECEIVE_BUFFER = '/proc/sys/net/ipv4/tcp_rmem';
const SEND_BUFFER = '/proc/sys/net/ipv4/tcp_wmem';

// What the kernel takes off the server's hands should be little beside what the tests publish.
fs.writeFileSync(SEND_BUFFER, '4096 16384 65536');

/** Opens with receive buffers so small that the window closes behind two packets. Only these sockets have them. */
async function withSmallWindows(open) {
    const usual = fs.readFileSync(RECEIVE_BUFFER, 'utf8');
    fs.writeFileSync(RECEIVE_BUFFER, '4096 4096 4096');
    try {
        return await open();
    } finally {
        fs.writeFileSync(RECEIVE_BUFFER, usual);
    }
}

test('closed and swaying windows cost nobody else an event, and no memory (N03, N04)', async () => {
    const server = await Server.start(['--stall-timeout', '10m', '--replay', '256', '--max-batch', '64k']);
    const healthy = await Audience.open(server, 4);
    const { truth } = healthy;
    const stalled = await withSmallWindows(() => Audience.open(server, STALLED, { truth }));
    const swaying = await withSmallWindows(() => Audience.open(server, SWAYING, { truth }));
    stalled.pause();
    await publishSome(server, 64, EVENT_BYTES).then(({ last }) => healthy.have(last));
    const before = server.residentKib();
    let last = null;
    for (let round = 0; round < 10 * ROUNDS; round++) {
        swaying.resume();
        swaying.pause((_, i) => i % 2 === round % 2);
        ({ last } = await publishSome(server, 32, EVENT_BYTES));
        await healthy.have(last);
    }
    // Each has a position, one batch, and one that is being made; the ring has 256 events.
    const bound = ((STALLED + SWAYING + 4) * 2 * 64 + 256 * EVENT_BYTES / 1024) + 1024;
    const grown = server.residentKib() - before;
    say(`${grown} KiB more, the bound is ${bound}`);
    if (!isInstrumented()) assert.ok(grown <= bound, `${grown} KiB for readers that do not read`);
    assert.equal(healthy.gaps, 0);
    assert.equal(await server.metric('stalled_total'), 0);
    for (const slow of [stalled, swaying]) slow.resume();
    for (const slow of [stalled, swaying]) await slow.have(last);
    assert.ok(stalled.followers.every(each => each.ledger.gaps > 0), 'a window was not closed');
    count('closed windows', STALLED + SWAYING);
    assert.equal(sum([...stalled.followers, ...swaying.followers], each => each.opened), STALLED + SWAYING);
    for (const each of [healthy, stalled, swaying]) await each.close();
});

for (const [policy, settings, metric] of [
    ['the stall timeout', ['--stall-timeout', '200'], 'stalled_total'],
    ['the policy', ['--slow', 'detach', '--stall-timeout', '10m'], 'lagged_total']])
    test(`readers behind closed windows are dropped by ${policy}, and resume exactly or with a gap (N03)`, async () => {
        const server = await Server.start(['--replay', '256', '--max-batch', '64k', ...settings]);
        const healthy = await Audience.open(server, 4);
        const stalled = await withSmallWindows(() => Audience.open(server, STALLED, { truth: healthy.truth }));
        stalled.pause();
        let last = null;
        for (let round = 0; round < 30; round++) {
            ({ last } = await publishSome(server, 32, EVENT_BYTES));
            await healthy.have(last);
        }
        // A lagging one is told so behind its queue, when it reads again; a stalled one is cut without reading.
        if (metric === 'stalled_total')
            await until('all to be cut', async () => (await server.metric(metric)) === STALLED);
        stalled.resume();
        await stalled.have(last);
        assert.ok((await server.metric(metric)) >= STALLED);
        count('dropped', await server.metric(metric));
        assert.equal(healthy.gaps, 0);
        assert.equal(sum(healthy.followers, each => each.opened), healthy.followers.length);
        for (const each of [healthy, stalled]) await each.close();
    });

// ---- Resets and half-closes ---------------------------------------------------------------------------------------

const STAGES = {
    nothing: '',
    'half a head': `GET /sessions/${SESSION}/events HTTP/1.1\r\nHo`,
    'half a body': `POST /sessions/${SESSION}-lost/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nxxx`,
    'a stream': `GET /sessions/${SESSION}/events HTTP/1.1\r\nHost: a\r\n\r\n`,
    'pipelined requests': 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50),
};

test('resets at every stage, also before the accept, leave nothing behind and no line in the log (N07, N11)',
async () => {
    const server = await Server.start(['--replay', '64']);
    const baseline = server.descriptors();
    await publishSome(server, 64, EVENT_BYTES);
    const random = chance(options.seed);
    for (let round = 0; round < 2 * ROUNDS; round++) {
        const beforeAccept = round % 2 === 1;
        if (beforeAccept) {
            server.child.kill('SIGSTOP'); // the kernel goes on completing handshakes
            await until('it to stand', () => server.state() === 'T');
        }
        const peers = await Promise.all(Array.from({ length: 50 }, () => server.connect()));
        const stages = Object.values(STAGES);
        await Promise.all(peers.map((peer, i) => peer.flush(stages[i % stages.length] || Buffer.alloc(0))));
        for (let turns = random.below(4); turns > 0; turns--) await new Promise(setImmediate);
        for (const peer of peers) peer.reset();
        count('resets', peers.length);
        if (beforeAccept) server.child.kill('SIGCONT');
    }
    await backToBaseline(server, baseline);
    assert.equal(await server.facts(`${SESSION}-lost`), null, 'half a body was published');
});

test('a half-closed stream ends, and resumes exactly (N06)', async () => {
    const server = await Server.start(['--replay', '100000']);
    const baseline = server.descriptors();
    const audience = await Audience.open(server, 20);
    for (let round = 0; round < ROUNDS; round++) {
        const publishing = publishSome(server, 100);
        for (const each of audience.followers) each.stream?.peer.finish();
        count('half-closes', audience.followers.length);
        const { last } = await publishing;
        await audience.have(last);
    }
    const idle = await server.connect();
    await idle.flush(`POST /sessions/${SESSION}/events HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf`);
    idle.finish(); // of a body: the rest can never come
    await idle.ended;
    idle.destroy();
    assert.equal(audience.gaps, 0);
    assert.ok(sum(audience.followers, each => each.resumes.event) > 0, 'nobody came back');
    await audience.close();
    await backToBaseline(server, baseline);
});

// ---- The kernel and the way between -------------------------------------------------------------------------------

test('connections killed by the kernel at either end: all come back, exactly (U06, N12)', async () => {
    const server = await Server.start(['--replay', '100000']);
    const baseline = server.descriptors();
    const audience = await Audience.open(server, 40);
    for (let round = 0; round < ROUNDS; round++) {
        const publishing = publishSome(server, 50).catch(() => null); // may be killed as well
        const side = round % 2 ? 'sport' : 'dport';
        const killed = command('ss', '-H', '-t', '-n', '-K', 'state', 'established', `( ${side} = :${server.port} )`);
        count('killed connections', killed.split('\n').filter(line => line.includes(`:${server.port}`)).length);
        await publishing;
        const { last } = await publishSome(server, 1);
        await audience.have(last);
    }
    assert.equal(audience.gaps, 0);
    assert.ok(sum(audience.followers, each => each.opened) > audience.followers.length, 'nothing was killed');
    await audience.close();
    await backToBaseline(server, baseline);
});

test('peers that vanish without a word are let go after the stall timeout, and resume exactly (N05)', async () => {
    const server = await Server.start(['--heartbeat', '50', '--stall-timeout', '300', '--replay', '100000']);
    const baseline = server.descriptors();
    const here = await Audience.open(server, 5);
    const there = await Audience.open(server, 20, { truth: here.truth, connect: { localAddress: '127.0.0.2' } });
    command('ip', 'route', 'add', 'blackhole', '127.0.0.2', 'table', 'local');
    try {
        for (let i = 0; i < 5; i++) await publishSome(server, 20).then(({ last }) => here.have(last));
        await until('the vanished to be let go', async () => (await server.metric('streams')) === 5);
        count('vanished peers', there.followers.length);
    } finally {
        command('ip', 'route', 'del', 'blackhole', '127.0.0.2', 'table', 'local');
    }
    for (const each of there.followers) each.cut(); // they have not heard of it either
    const { last } = await publishSome(server, 1);
    for (const each of [here, there]) await each.have(last);
    assert.equal(here.gaps + there.gaps, 0);
    assert.equal(sum(here.followers, each => each.opened), 5, 'others were let go too');
    for (const each of [here, there]) await each.close();
    await backToBaseline(server, baseline);
});

test('lost packets in both directions cost time, and no event (N10)', async () => {
    if (!hasCommand('nft') || spawnSync('nft', ['list', 'ruleset']).status !== 0) leaveOut('nft cannot be used here');
    const server = await Server.start(['--replay', '100000']);
    const audience = await Audience.open(server, 10);
    command('nft', 'add table inet weather; add chain inet weather in { type filter hook input priority 0; }; ' +
        'add rule inet weather in tcp dport != 0 numgen random mod 100 < 3 counter drop');
    try {
        for (let round = 0; round < 2 * ROUNDS; round++) {
            const { last } = await publishSome(server, 20, 3000);
            if (round % 4 === 3) audience.followers[round % 10].cut(true);
            await audience.have(last);
        }
        const lost = Number(/counter packets (\d+)/.exec(command('nft', 'list', 'table', 'inet', 'weather'))[1]);
        assert.ok(lost > 0, 'no packet was lost');
        say(`${lost} packets lost`);
    } finally {
        command('nft', 'delete table inet weather');
    }
    assert.equal(audience.gaps, 0);
    await audience.close();
});

await run();
