// kill -9 at any instant, under load, again and again: every client that comes back is told that the epoch has
// changed before it is told anything else, and inside one epoch each has every event exactly once.
//
//     node kills.mjs --weir PATH --io uring|epoll [--seed N]      200 kills; WEIR_TEST_SCALE=5: 1,000
import assert from 'node:assert/strict';
import { chance, options, parseId, portToKeep, run, Server, test, until } from '../end_to_end/support.mjs';
import { Peer } from '../end_to_end/wire.mjs';
import { at, count, countAs, counted, Follower, pause, sized, sum, untilAllNotice } from './rig.mjs';

const KILLS = sized(200);
const FOLLOWERS = 6;
const PUBLISHERS = 2;
const STORM_CLIENTS = sized(1000, 200);
const STORM_KILLS = 5;
const SESSION = 'kills';

countAs('kills', `of ${KILLS} kills`, 'accepted events', 'deliveries', 'resumes', 'epoch notices', 'cut before a word',
    'exact resumes', 'silent');

/** Publishes without end, over one connection after another, and records what was accepted. */
class Publisher {
    constructor(port, number, truth, random) {
        Object.assign(this, { port, number, truth, random, written: 0, stopped: false, problem: null });
        this.running = this.keepPublishing();
    }

    async keepPublishing() {
        while (!this.stopped && this.problem === null) {
            try {
                this.peer = await Peer.connect({ host: '127.0.0.1', port: this.port });
                while (!this.stopped) await this.publish();
            } catch (error) {
                if (error instanceof assert.AssertionError) this.problem = error;
                await pause(3); // the server is down, or was killed with the answer on its way
            }
            this.peer?.destroy();
        }
    }

    async publish() {
        const lines = Array.from({ length: 1 + this.random.below(20) }, () => `${this.number}:${++this.written}`);
        const body = lines.join('\n');
        this.peer.write(`POST /sessions/${SESSION}/events?split=lines HTTP/1.1\r\nHost: a\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body}`);
        const answer = await this.peer.response();
        assert.equal(answer.status, 201, answer.text);
        assert.equal(answer.json.count, lines.length);
        this.record(answer.json.first, lines[0]); // another publisher's lines may lie between ours
        this.record(answer.json.last, lines.at(-1));
        count('accepted events', lines.length);
    }

    record(id, line) {
        if (!this.truth.has(id)) this.truth.set(id, line);
        assert.equal(this.truth.get(id), line, 'a subscriber was given another event under this id');
    }

    async stop() {
        this.stopped = true;
        this.peer?.destroy();
        await this.running;
        this.check();
    }

    check() {
        if (this.problem) throw this.problem;
    }
}

/** Waits for the instant of the kill: mostly one when all clients are back and so many events later, sometimes one in
 * the middle of their coming back, and sometimes one when the server has hardly begun. */
async function waitForInstant(life, random, followers, epoch) {
    const received = () => sum(followers, each => each.ledger.received + (each.check() ?? 0));
    const isBack = each => each.check() ?? each.ledger.epoch === epoch();
    const kind = life === 1 ? 0 : random.below(10);
    if (kind < 6) {
        await until('all clients to be back', () => followers.every(isBack));
        followers[random.below(followers.length)].cut(random.below(2) === 0);
    }
    if (kind < 9) {
        const wanted = received() + random.below(kind < 6 ? 1500 : 100);
        await until('some events', () => received() >= wanted);
    }
    for (let turns = random.below(4); turns > 0; turns--) await new Promise(setImmediate);
}

/** One life of the server; kills it, and returns when all that it has sent is read. */
async function liveOnce(life, listen, random, followers, lives) {
    let epoch = null;
    for (const each of followers) // before the start: a client may be quicker than we are
        each.onTold = told => {
            assert.equal(lives.get(told) ?? life, life, 'an epoch came back');
            lives.set(told, life);
            epoch = told;
        };
    const server = await Server.start(['--replay', '1048576', '--retry', '1'], { listen });
    if (life === 1) epoch = (await server.request('PUT', `/sessions/${SESSION}`)).json.epoch;
    await waitForInstant(life, random, followers, () => epoch ?? 'none yet');
    await server.kill();
    count(`of ${KILLS} kills`);
    await untilAllNotice(followers);
}

function report(followers) {
    for (const each of followers) each.check();
    const { epoch, gap, event, unheard } = followers.reduce((all, { resumes }) =>
        Object.fromEntries(Object.entries(resumes).map(([kind, value]) => [kind, value + (all[kind] ?? 0)])), {});
    count('deliveries', sum(followers, each => each.ledger.received));
    count('resumes', epoch + gap + event + unheard);
    count('epoch notices', epoch);
    count('cut before a word', unheard);
    count('exact resumes', event);
    assert.equal(gap, 0, 'a ring that keeps everything has lost something');
}

test('killed at any instant and restarted, nobody is left to go on silently (L03, E20, N08)', async () => {
    const port = await portToKeep();
    const random = chance(options.seed);
    const truth = new Map();
    const followers = Array.from({ length: FOLLOWERS }, (_, i) =>
        new Follower(at({ port }), SESSION, { truth, accept: i % 3 ? 'text/event-stream' : 'application/x-ndjson' }));
    const lives = new Map(); // epoch → the life in which it was first told
    for (const each of followers) each.start();
    const publishers = Array.from({ length: PUBLISHERS }, (_, i) => new Publisher(port, i, truth, chance(i + 1)));
    try {
        for (let life = 1; life <= KILLS; life++) {
            await liveOnce(life, `127.0.0.1:${port}`, random, followers, lives);
            if (life % 20 === 0) truth.clear(); // of lives that nobody can come back to
        }
    } finally {
        count('silent', followers.filter(each => each.problem ?? each.stream?.problem).length);
        await Promise.all([...publishers, ...followers].map(each => each.stop()));
    }
    report(followers);
    assert.ok(counted('epoch notices') >= KILLS, 'hardly anybody came back');
});

test(`five restarts under ${STORM_CLIENTS} clients: all come back each time, and no event comes twice (L14, N12)`,
async () => {
    const port = await portToKeep();
    const listen = `127.0.0.1:${port}`;
    const truth = new Map();
    const settings = ['--retry', '1', '--replay', '10000'];
    let server = await Server.start(settings, { listen });
    const { epoch } = (await server.request('PUT', `/sessions/${SESSION}`)).json;
    const clients = Array.from({ length: STORM_CLIENTS },
        () => new Follower(at({ port }), SESSION, { truth, lastId: `${epoch}.0` }).start());
    for (let life = 0; life <= STORM_KILLS; life++) {
        if (life > 0) {
            const publishing = server.publishLines(SESSION, Array.from({ length: 50 }, (_, i) => `lost ${life}.${i}`));
            await Promise.all([server.kill(), publishing.catch(() => null)]);
            server = await Server.start(settings, { listen });
        }
        const { last } = await server.publishLines(SESSION, Array.from({ length: 10 }, (_, i) => `life ${life}.${i}`));
        await until('all to have the newest event', () => clients.every(each => each.lastId === last));
        for (const each of clients) each.check();
    }
    await Promise.all(clients.map(each => each.stop()));
    for (const each of clients) assert.ok(each.resumes.epoch >= STORM_KILLS, 'a client was not told of every restart');
    report(clients);
});

await run();
