// Ten subscribers and four publishers on one session. Each subscriber is cut again and again, at any byte, and comes
// back with the id of its last whole event: in the end it has every event exactly once and in order, or exact gaps.
//
//     node exactly_once.mjs --weir PATH --io uring|epoll [--events N] [--cuts N] [--seed N]
//
// The standard size is for every run of the tests; `--events 200000 --cuts 60` is the full one.
import assert from 'node:assert/strict';
import { chance, options, parseId, run, say, Server, test, until } from './support.mjs';
import { ChunkDecoder, Peer, SseDecoder } from './wire.mjs';

const SUBSCRIBERS = 10;
const PUBLISHERS = 4;
const EVENTS = Number(options.events ?? 20000);
const CUTS = Number(options.cuts ?? 12);
const SESSION = 'exactly-once';

/** Checks one subscriber's events as they come. An event's data is publisher:number, as text or as a JSON string. */
class Ledger {
    constructor(order, epoch) {
        this.epoch = epoch;
        this.order = order; // sequence → data, as the first subscriber to see it had it
        this.next = 1;
        this.received = 0;
        this.lost = 0;
        this.gaps = 0;
        this.told = { until: 0, lost: 0, gaps: 0 }; // gaps that no event has followed yet
        this.newest = new Array(PUBLISHERS).fill(0);
    }

    takeEvent(id, data) {
        const { epoch, sequence } = parseId(id);
        assert.equal(epoch, this.epoch, 'the epoch has changed');
        this.commitGaps();
        assert.equal(sequence, this.next, 'an event is missing, repeated or out of order');
        this.order[sequence] ??= data;
        assert.equal(this.order[sequence], data, 'two subscribers see different events');
        const [publisher, number] = data.replaceAll('"', '').split(':').map(Number);
        if (this.gaps === 0) assert.equal(number, this.newest[publisher] + 1, 'a publisher is out of order');
        else assert.ok(number > this.newest[publisher], 'a publisher is out of order');
        this.newest[publisher] = number;
        this.next++;
        this.received++;
    }

    takeGap({ first, last, lost, reason, epoch }) {
        assert.ok(reason === 'evicted' || reason === 'slow', reason);
        const expected = this.told.gaps > 0 ? this.told.until + 1 : this.next;
        assert.equal(first, expected, 'a gap does not begin behind what came before it');
        assert.equal(lost, last - first + 1, 'a gap miscounts');
        assert.ok(lost > 0, 'an empty gap');
        assert.equal(epoch, this.epoch);
        this.told = { until: last, lost: this.told.lost + lost, gaps: this.told.gaps + 1 };
    }

    /** A gap carries no id: only an event behind it moves the cursor. */
    commitGaps() {
        if (this.told.gaps === 0) return;
        this.lost += this.told.lost;
        this.next = this.told.until + 1;
        this.gaps += this.told.gaps;
        this.forgetGaps();
    }

    /** Cut off before that event, the client comes back with an id from before the gap, and is told again. */
    forgetGaps() {
        this.told = { until: 0, lost: 0, gaps: 0 };
    }
}

/** A subscriber that reads until it has everything, and is cut `cuts` times on its way. */
class Subscriber {
    constructor(server, order, random, total, cuts, epoch) {
        Object.assign(this, { server, random, total, cuts });
        this.ledger = new Ledger(order, epoch);
        this.lastId = `${epoch}.0`; // before the first: to one who is cut before it has an id nothing is promised
        this.connections = 0;
        this.midEvent = 0; // cuts that left half an event behind
        this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    }

    /** The next cut comes behind so many bytes: on average such that all cuts find their place before the end. */
    drawCut() {
        if (this.cutsMade() >= this.cuts) return Infinity;
        const events = (this.total - this.ledger.next + 1) / (this.cuts - this.cutsMade() + 1);
        return 1 + this.random.below(Math.max(2, Math.floor(events * 60)));
    }

    cutsMade() {
        return this.connections - 1;
    }

    connect() {
        this.connections++;
        this.open().catch(this.reject);
    }

    async open() {
        const peer = this.peer = await this.server.connect();
        peer.write(`GET /sessions/${SESSION}/events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: ${this.lastId}\r\n\r\n`);
        assert.equal((await peer.head()).status, 200);
        this.decoder = new SseDecoder(frame => this.takeFrame(frame));
        this.chunks = new ChunkDecoder(bytes => this.decoder.feed(bytes));
        this.left = this.drawCut();
        peer.onData = bytes => this.takeBytes(bytes);
        peer.closed.then(() => this.takeClose(peer));
        peer.onData(peer.take(peer.received.length));
    }

    takeBytes(bytes) {
        if (this.over) return;
        try {
            this.chunks.feed(bytes.subarray(0, Math.min(bytes.length, this.left)));
        } catch (error) {
            this.end(error);
            return;
        }
        this.left -= bytes.length;
        if (this.ledger.next > this.total) this.end();
        else if (this.left <= 0) this.cut();
    }

    cut() {
        const { peer, decoder } = this;
        if (decoder.rest !== '' || decoder.data.length > 0 || decoder.id !== undefined) this.midEvent++;
        this.peer = null;
        peer.onData = () => {};
        this.ledger.forgetGaps();
        if (this.random.below(2)) peer.reset();
        else peer.destroy();
        this.connect();
    }

    takeClose(peer) {
        if (peer !== this.peer || this.over) return;
        const how = this.chunks.done ? 'ended' : 'cut';
        this.end(new Error(`the server has ${how} the stream after ${this.lastId}; ${peer.error ?? 'no error'}`));
    }

    takeFrame(frame) {
        if (frame.type !== 'event') return;
        if (frame.id !== undefined) {
            this.ledger.takeEvent(frame.id, frame.data);
            this.lastId = frame.id;
        } else {
            assert.equal(frame.kind, 'gap');
            this.ledger.takeGap(JSON.parse(frame.data));
        }
    }

    end(error) {
        this.over = true;
        this.peer?.destroy();
        if (error) this.reject(error);
        else this.resolve();
    }
}

/** Publishes its share over one connection: single events, batches of lines and of NDJSON, at random. `mayGoOn`
 * resolves when the subscribers are near enough. */
async function publish(server, publisher, share, random, mayGoOn) {
    const peer = await Peer.connect({ host: '127.0.0.1', port: server.port });
    for (let number = 1; number <= share;) {
        await mayGoOn();
        const count = Math.min(share - number + 1, random.below(3) === 0 ? 1 : 1 + random.below(200));
        const lines = Array.from({ length: count }, (_, i) => `${publisher}:${number + i}`);
        const json = random.below(2) === 0;
        const query = json || count === 1 ? '' : '?split=lines';
        const type = json && count > 1 ? 'Content-Type: application/x-ndjson\r\n' : '';
        const body = type ? lines.map(line => `"${line}"\n`).join('') : lines.join('\n');
        peer.write(`POST /sessions/${SESSION}/events${query} HTTP/1.1\r\nHost: a\r\n${type}` +
            `Content-Length: ${body.length}\r\n\r\n${body}`);
        const answer = await peer.response();
        assert.equal(answer.status, 201, answer.text);
        assert.equal(answer.json.count ?? 1, count);
        number += count;
    }
    peer.destroy();
}

async function race(extra, events, cuts, window) {
    const server = await Server.start(extra);
    const { epoch } = (await server.request('PUT', `/sessions/${SESSION}`)).json;
    const order = [];
    const share = Math.floor(events / PUBLISHERS);
    const total = share * PUBLISHERS;
    const random = chance(options.seed);
    const subscribers = Array.from({ length: SUBSCRIBERS },
        (_, i) => new Subscriber(server, order, chance(random.below(1 << 30) + i), total, cuts, epoch));
    for (const subscriber of subscribers) subscriber.connect();
    const slowest = () => Math.min(...subscribers.map(each => each.ledger.next));
    let accepted = 0;
    const mayGoOn = async () => {
        accepted++;
        if (window !== null) await until('the subscribers to follow', () => order.length - slowest() < window);
    };
    const started = Date.now();
    const publishers = Array.from({ length: PUBLISHERS },
        (_, i) => publish(server, i, share, chance(random.below(1 << 30) + i), mayGoOn));
    await Promise.all([...publishers, ...subscribers.map(subscriber => subscriber.done)]);
    const seconds = (Date.now() - started) / 1000;
    assert.equal((await server.facts(SESSION)).published, total);
    return { server, subscribers, total, seconds, requests: accepted };
}

function report({ subscribers, total, seconds, requests }) {
    const sum = pick => subscribers.reduce((all, each) => all + pick(each), 0);
    const least = Math.min(...subscribers.map(each => each.cutsMade()));
    say(`${total} events in ${requests} requests, ${SUBSCRIBERS} subscribers: ${sum(each => each.ledger.received)} ` +
        `received, ${sum(each => each.ledger.lost)} in ${sum(each => each.ledger.gaps)} gaps; ` +
        `${sum(each => each.cutsMade())} cuts (at least ${least} each), ` +
        `${sum(each => each.midEvent)} inside an event; ` +
        `${seconds.toFixed(1)} s`);
}

test('with all events kept, every subscriber has each exactly once and in order (E11, N08)', async () => {
    const result = await race(['--replay', '1048576'], EVENTS, CUTS, 20000);
    report(result);
    for (const { ledger, ...subscriber } of result.subscribers) {
        assert.equal(ledger.received, result.total);
        assert.equal(ledger.gaps, 0);
        assert.equal(subscriber.connections - 1, CUTS);
    }
});

test('with a short ring, events and gaps add up exactly for every subscriber (S17)', async () => {
    const result = await race(['--replay', '500'], EVENTS, CUTS, null);
    report(result);
    for (const { ledger } of result.subscribers) {
        assert.equal(ledger.received + ledger.lost, result.total);
        assert.equal(ledger.next, result.total + 1);
    }
});

await run();
