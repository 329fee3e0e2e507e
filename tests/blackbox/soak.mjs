// A server under bearable load in bad weather for as long as is asked: publishers, subscribers that are cut, pause and
// come back, sessions that come, go and expire, half requests and resets. Meanwhile every subscriber judges all that
// it is told. Afterwards descriptors and threads are exactly what they were at the start, the server's counts agree
// with ours, and its memory has all but stopped growing.
//
//     node soak.mjs --weir PATH --io uring|epoll [--seconds N] [--seed N]        WEIR_SOAK_SECONDS is for N, too
import assert from 'node:assert/strict';
import { chance, isInstrumented, options, run, say, Server, test, until } from '../end_to_end/support.mjs';
import { at, count, countAs, counted, Follower, pause, sum } from './rig.mjs';

const SECONDS = Number(process.env.WEIR_SOAK_SECONDS ?? options.seconds ?? 120);
const SESSIONS = 24;
const FOLLOWERS = 48;
const PUBLISHERS = 4;
const LONG_ENOUGH = 60; // seconds, to say something about memory

countAs('soak', 'seconds', 'published', 'delivered', 'gaps', 'lost and told', 'cuts', 'pauses', 'resumes',
    'ended sessions', 'visits', 'odd peers', 'KiB at half-time', 'KiB at the end');

const name = index => `soak-${index}`;

/** How many events a publish brought in. The session may be ended by another connection while they go in: before the
 * first of them (410), or between two (503, with the number that are published). */
function acceptedOf({ status, json, text }) {
    if (status === 201) return json.count;
    if (status === 410 && json.error.code === 'session_ended') return 0;
    if (status === 503 && json.error.code === 'partly_accepted') return json.error.accepted;
    throw new Error(`${status} ${text}`);
}

/** Everything that goes on until `over`. Each part has its own source of chance, so that a seed repeats it. */
class Weather {
    constructor(server) {
        this.server = server;
        this.over = false;
        this.samples = [];
        this.random = chance(options.seed);
        this.followers = Array.from({ length: FOLLOWERS }, (_, i) => this.follow(i % SESSIONS));
    }

    follow(index) {
        const follower = new Follower(at(this.server), name(index),
            { accept: index % 3 ? 'text/event-stream' : 'application/x-ndjson' });
        const { take } = follower;
        follower.take = frame => {
            if (frame.type === 'event')
                assert.ok(frame.data.startsWith(`${name(index)} `), `an event of another session: ${frame.data}`);
            take.call(follower, frame);
        };
        return follower.start();
    }

    /** Repeats `once`, with pauses, until it is over. */
    async keep(pauseMs, once) {
        const random = chance(this.random.below(1 << 30));
        while (!this.over) {
            await once(random);
            await pause(1 + random.below(2 * pauseMs));
        }
    }

    async publish(peer, session, lines) {
        const body = lines.join('\n');
        peer.write(`POST /sessions/${session}/events?split=lines HTTP/1.1\r\nHost: a\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body}`);
        count('published', acceptedOf(await peer.response()));
    }

    async keepPublishing() {
        const peer = await this.server.connect();
        await this.keep(6, async random => {
            const session = name(random.below(SESSIONS));
            const bytes = 10 << random.below(8);
            const lines = Array.from({ length: 1 + random.below(30) }, (_, i) => `${session} ${i} `.padEnd(bytes, 'x'));
            await this.publish(peer, session, lines);
        });
        peer.destroy();
    }

    /** A subscriber is cut, closes its side, or stops reading for a while. */
    async disturb(random) {
        const follower = this.followers[random.below(FOLLOWERS)];
        follower.check();
        const stream = follower.stream;
        if (stream === null) return;
        const how = random.below(4);
        if (how < 2) follower.cut(how === 0);
        if (how === 2) stream.peer.finish();
        if (how === 3) {
            stream.peer.socket.pause();
            count('pauses');
            await pause(random.below(300));
            stream.peer.socket.resume();
        }
        if (how < 3) count('cuts');
    }

    async endSession(random) {
        const { status } = await this.server.request('DELETE', `/sessions/${name(random.below(SESSIONS))}`);
        assert.ok(status === 204 || status === 404, `${status}`);
        if (status === 204) count('ended sessions');
    }

    /** A session for a few events and one reader, then deleted or left to expire. */
    async visit(random) {
        const session = `visit-${random.below(1 << 30)}`;
        const peer = await this.server.connect();
        await this.publish(peer, session, Array.from({ length: 1 + random.below(5) }, (_, i) => `${session} ${i}`));
        peer.destroy();
        const stream = await this.server.stream(session);
        assert.ok((await stream.take(1))[0].startsWith(session));
        if (random.below(2)) await this.server.request('DELETE', `/sessions/${session}`);
        stream.destroy();
        count('visits');
    }

    async comeOddly(random) {
        const peer = await this.server.connect();
        const requests = ['', 'GET /sessions/soak-1/ev', 'no request\r\n\r\n', 'GET /sessions/soak-2/events HTTP/1.1\r\n' +
            'Host: a\r\n\r\n', 'POST /sessions/never/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf'];
        const request = requests[random.below(requests.length)];
        if (request) await peer.flush(request);
        if (random.below(2)) await pause(random.below(20));
        if (random.below(2)) peer.reset();
        else peer.destroy();
        count('odd peers');
    }

    async sample() {
        this.samples.push(this.server.residentKib());
        await pause(900);
    }

    async last(seconds) {
        const parts = [
            ...Array.from({ length: PUBLISHERS }, () => this.keepPublishing()),
            this.keep(25, random => this.disturb(random)),
            this.keep(25, random => this.disturb(random)),
            this.keep(400, random => this.endSession(random)),
            this.keep(15, random => this.visit(random)),
            this.keep(10, random => this.comeOddly(random)),
            this.keep(50, () => this.sample()),
        ];
        const ending = pause(1000 * seconds).then(() => (this.over = true));
        await Promise.all([ending, ...parts]).finally(() => (this.over = true));
    }

    /** Fair weather: everybody reaches the newest event of its session. */
    async settle() {
        for (let i = 0; i < SESSIONS; i++) {
            const id = await this.server.publish(name(i), `${name(i)} the last`);
            count('published');
            const readers = this.followers.filter(each => each.session === name(i));
            await until(`all to have ${id}`, () => readers.every(each => each.check() ?? each.lastId === id));
        }
        for (const each of this.followers) await each.stop();
        count('delivered', sum(this.followers, each => each.ledger.received));
        count('gaps', sum(this.followers, each => each.ledger.gaps));
        count('lost and told', sum(this.followers, each => each.ledger.lost));
        count('resumes', sum(this.followers, ({ resumes }) => resumes.event + resumes.gap + resumes.epoch));
    }
}

/** Kilobytes per sample: the slope of the line through the samples. */
function slopeOf(samples) {
    const n = samples.length;
    const middle = (n - 1) / 2;
    const mean = samples.reduce((all, each) => all + each, 0) / n;
    let above = 0;
    let below = 0;
    for (const [i, each] of samples.entries()) {
        above += (i - middle) * (each - mean);
        below += (i - middle) ** 2;
    }
    return above / below;
}

/** Memory is kept at its high-water mark, which random peaks go on raising a little; a leak does not slow down. Over the
 * second half of the time half a megabyte is allowed, and over hours a thousandth each. */
function checkMemory(samples) {
    const settled = samples.slice(Math.floor(samples.length / 2));
    const grown = slopeOf(settled) * settled.length;
    const allowed = 512 + settled[0] * 0.001 * (SECONDS / 3600);
    count('KiB at half-time', settled[0]);
    count('KiB at the end', settled.at(-1));
    say(`memory: ${settled[0]} KiB at half-time, ${settled.at(-1)} at the end, ` +
        `the slope makes ${grown.toFixed(0)} of at most ${allowed.toFixed(0)}`);
    if (SECONDS >= LONG_ENOUGH && !isInstrumented()) assert.ok(grown <= allowed, `memory grows by ${grown} KiB`);
}

async function checkCounts(server) {
    await until('all sessions to expire', async () => (await server.metric('sessions')) === 0);
    assert.equal(await server.metric('published_total'), counted('published'));
    assert.equal(await server.metric('sessions_created_total'), await server.metric('sessions_ended_total'));
    assert.ok((await server.metric('deliveries_total')) >= counted('delivered'), 'more was received than was sent');
    assert.equal(await server.metric('accept_errors_total'), 0);
    for (const gauge of ['streams', 'subscribers', 'sessions']) assert.equal(await server.metric(gauge), 0, gauge);
    await until('only the one to be left that asks', async () => (await server.metric('connections')) === 1);
}

test(`${SECONDS} seconds in bad weather (M10, E22, E23, N07, N11)`, async () => {
    const server = await Server.start(['--idle-ttl', '2s', '--heartbeat', '200', '--retry', '1', '--replay', '32']);
    const descriptors = server.descriptors();
    const threads = server.threads();
    const weather = new Weather(server);
    await weather.last(SECONDS);
    count('seconds', SECONDS);
    await weather.settle();
    await checkCounts(server);
    await until('the descriptors to be back', () => server.descriptors() === descriptors);
    assert.equal(server.threads(), threads);
    assert.equal(server.errors, '', 'it complains');
    checkMemory(weather.samples);
});

await run();
