// What the black-box tests share: their size, the line of counts that each ends with, and a client that comes back
// whatever happens to its connection and judges all that it is told.
//
// WEIR_TEST_SCALE multiplies the sizes: 1, the default, is for every run of the tests; 5 is a deep run.
import assert from 'node:assert/strict';
import { isInstrumented, options, parseId, until } from '../end_to_end/support.mjs';
import { EventStream, Peer } from '../end_to_end/wire.mjs';

const scale = Number(process.env.WEIR_TEST_SCALE ?? 1);
assert.ok(scale > 0, 'WEIR_TEST_SCALE is no factor');

/** A size under the scale of this run. A sanitizer's start takes a second instead of milliseconds. */
export function sized(standard, instrumented = Math.ceil(standard / 10)) {
    return Math.max(1, Math.round((isInstrumented() ? instrumented : standard) * scale));
}

export const pause = ms => new Promise(wake => setTimeout(wake, ms));

// What was started goes with the process, also when somebody interrupts it: an exit handler runs on no signal.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

// ---- Counts -------------------------------------------------------------------------------------------------------

const counts = new Map();

export function count(what, by = 1) {
    counts.set(what, (counts.get(what) ?? 0) + by);
}

export function counted(what) {
    return counts.get(what) ?? 0;
}

/** Prints `NAME: COUNT what, COUNT what` as the last line, whatever the outcome. */
export function countAs(name, ...whats) {
    for (const what of whats) count(what, 0);
    process.on('exit', () => {
        const list = [...counts].map(([what, value]) => `${value} ${what}`);
        console.log(`${name} on ${options.io}: ${list.join(', ')}`);
    });
}

// ---- A client that comes back -------------------------------------------------------------------------------------

/** What a subscriber of one session must be told, frame by frame: each event once and in order, or a gap that begins
 * where it stands. `truth`, if there is one, is shared: id → data, as whoever saw the event first had it. */
export class Ledger {
    constructor(truth = null) {
        Object.assign(this, { truth, epoch: null, next: null, received: 0, lost: 0, gaps: 0, epochs: new Set() });
        this.begin();
    }

    /** A new connection: gaps of the one before that no event has followed are forgotten, for they move no cursor. */
    begin() {
        this.told = null;
        this.first = null; // of this connection: 'event', 'gap' or 'epoch'
    }

    get place() {
        return this.told ?? this;
    }

    takeGap({ first, last, lost, reason, epoch }) {
        const { place } = this;
        if (reason === 'epoch') {
            assert.notEqual(epoch, place.epoch, 'a gap tells the epoch that the client came with');
            assert.equal(lost, null, 'nobody can count what an earlier life has lost');
            assert.ok(first === null || first === 1, 'what is lost of a new epoch begins with its first');
            this.first ??= 'epoch';
            this.epochs.add(epoch);
            this.told = { epoch, next: (last ?? 0) + 1, lost: last ?? 0, gaps: 1 };
            return;
        }
        assert.ok(reason === 'evicted' || reason === 'slow', `the reason is ${reason}`);
        if (place.epoch !== null) {
            assert.equal(epoch, place.epoch, 'a gap of another epoch');
            assert.equal(first, place.next, 'a gap does not begin behind what came before it');
        }
        assert.ok(lost > 0 && lost === last - first + 1, 'a gap miscounts');
        this.first ??= 'gap';
        const before = this.told ?? { lost: 0, gaps: 0 };
        this.told = { epoch, next: last + 1, lost: before.lost + lost, gaps: before.gaps + 1 };
    }

    takeEvent(id, data) {
        const { epoch, sequence } = parseId(id);
        const { place } = this;
        if (place.epoch !== null) {
            assert.equal(epoch, place.epoch, 'the epoch has changed, and nobody has said so');
            assert.equal(sequence, place.next, 'an event is missing, repeated or out of order');
        }
        if (this.truth !== null && !this.truth.has(id)) this.truth.set(id, data);
        assert.equal(data, this.truth?.get(id) ?? data, 'one id, two events');
        this.lost += this.told?.lost ?? 0;
        this.gaps += this.told?.gaps ?? 0;
        this.first ??= 'event';
        Object.assign(this, { epoch, next: sequence + 1, told: null, received: this.received + 1 });
    }

    take(frame) {
        if (frame.type === 'gap') this.takeGap(frame.facts);
        if (frame.type === 'event') this.takeEvent(frame.id, frame.data);
    }
}

/** Where clients find a server that keeps its address over its lives: a port, or the path of a Unix socket. */
export function at(place) {
    return { connect: settings => Peer.connect({ host: '127.0.0.1', ...place, ...settings }) };
}

/** A subscriber that comes back with its last id, at once, until it is stopped. `problem` is what the server did
 * wrong. `lastId` may be given to begin behind it. */
export class Follower {
    constructor(server, session, { truth, lastId, accept, connect, headers, query } = {}) {
        Object.assign(this, { server, session, accept, connect, headers, query, lastId });
        Object.assign(this, { stream: null, stopped: false, problem: null, ends: 0, attempts: 0, opened: 0, onTold: () => {} });
        this.resumes = { epoch: 0, gap: 0, event: 0, unheard: 0 };
        this.ledger = new Ledger(truth);
        if (lastId !== undefined) {
            const { epoch, sequence } = parseId(lastId);
            Object.assign(this.ledger, { epoch, next: sequence + 1 });
        }
    }

    start() {
        this.running = this.keepComing();
        return this;
    }

    async keepComing() {
        while (!this.stopped && this.problem === null) {
            try {
                await this.follow();
            } catch (error) {
                // Nobody listens, an answer was cut, or a proxy or a server on its way out says so: again.
                if (error.status !== undefined && ![502, 503, 504].includes(error.status)) this.problem = error;
                await pause(3);
            }
        }
    }

    async follow() {
        const { session, accept, connect, headers, query, lastId } = this;
        this.attempts++;
        this.ledger.begin();
        const onFrame = frame => this.take(frame);
        const stream = await EventStream.open(this.server, session, { accept, connect, headers, query, lastId, onFrame });
        this.opened++;
        this.stream = stream;
        if (this.stopped) stream.destroy();
        await stream.over;
        stream.destroy();
        await stream.peer.closed;
        this.stream = null;
        this.problem ??= stream.problem;
        if (lastId !== undefined) this.resumes[this.ledger.first ?? 'unheard']++;
    }

    take(frame) {
        this.ledger.take(frame);
        if (frame.type === 'event') this.lastId = frame.id;
        if (frame.type === 'end') this.ends++;
        if (frame.type === 'gap' && frame.facts.reason === 'epoch') this.onTold(frame.facts.epoch);
    }

    /** Throws what went wrong so far. */
    check() {
        const problem = this.problem ?? this.stream?.problem;
        if (problem) throw problem;
    }

    /** Drops the connection, with a FIN or with a reset. */
    cut(reset = false) {
        if (reset) this.stream?.peer.reset();
        else this.stream?.destroy();
    }

    async stop() {
        this.stopped = true;
        this.stream?.destroy();
        await this.running;
        this.check();
    }
}

/** With the server gone: returns when all that it had sent to them is read. */
export async function untilAllNotice(followers) {
    const marks = followers.map(each => each.attempts);
    await until('all clients to try again', () => followers.every((each, i) => each.attempts > marks[i] || each.problem));
}

/** The sum of something over followers. */
export function sum(followers, pick) {
    return followers.reduce((all, each) => all + pick(each), 0);
}
