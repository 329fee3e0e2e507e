// A reader that stops for longer than the ring lasts loses what it missed, is told exactly that, and goes on. Nobody
// else notices.
import assert from 'node:assert/strict';
import { parseId, run, say, Server, test, until } from './support.mjs';

const EVENT_BYTES = 8192;
const REPLAY = 256;
const EVENTS = 6000; // 48 MiB: many times what the kernel buffers between a server and a reader that has stopped
const STEP = 64;

const filler = 'x'.repeat(EVENT_BYTES);
const numbered = number => `${number}:${filler}`;

/** A subscriber that keeps only what it needs to judge: numbers, and gaps where they came. */
class Reader {
    static async open(server, settings) {
        const reader = new Reader();
        reader.log = []; // numbers of events, and gaps
        reader.newest = 0;
        reader.stream = await server.stream('slow', { ...settings, onFrame: frame => reader.takeFrame(frame) });
        return reader;
    }

    takeFrame(frame) {
        if (frame.type === 'gap') {
            this.log.push(frame.facts);
            this.newest = frame.facts.last;
        } else if (frame.type === 'event') {
            const number = Number(frame.data.slice(0, frame.data.indexOf(':')));
            assert.equal(parseId(frame.id).sequence, number);
            assert.equal(frame.data.length, numbered(number).length);
            this.log.push(number);
            this.newest = number;
        }
    }

    get gaps() {
        return this.log.filter(entry => typeof entry === 'object');
    }

    stop() {
        this.stream.peer.socket.pause();
    }

    goOn() {
        this.stream.peer.socket.resume();
    }

    /** Every number from `oldest` to `newest` is received or in a gap, in order; returns how many were lost. */
    check(oldest, newest) {
        let next = oldest;
        let lost = 0;
        for (const entry of this.log) {
            if (typeof entry === 'number') {
                assert.equal(entry, next++);
                continue;
            }
            assert.equal(entry.first, next);
            assert.equal(entry.lost, entry.last - entry.first + 1);
            assert.equal(entry.reason, 'slow');
            lost += entry.lost;
            next = entry.last + 1;
        }
        assert.equal(next, newest + 1);
        return lost;
    }
}

async function publishSteps(server, from, to, healthy) {
    for (let number = from; number <= to; number += STEP) {
        const lines = Array.from({ length: Math.min(STEP, to - number + 1) }, (_, i) => numbered(number + i));
        await server.publishLines('slow', lines);
        const last = number + lines.length - 1;
        await until('the healthy readers', () => healthy.every(reader => reader.newest === last));
    }
}

/** Publishes and tells how many events a second the healthy readers got. */
async function timeSteps(server, from, to, healthy) {
    const started = process.hrtime.bigint();
    await publishSteps(server, from, to, healthy);
    return Math.round((to - from + 1) / (Number(process.hrtime.bigint() - started) / 1e9));
}

const ALONE = 2000; // events before there is a slow reader, to compare with

for (const accept of ['text/event-stream', 'application/x-ndjson'])
    test(`a reader of ${accept} that stops gets one exact gap and goes on (N03, S17)`, async () => {
        const server = await Server.start(['--replay', `${REPLAY}`, '--stall-timeout', '10m']);
        const healthy = [await Reader.open(server, { accept }), await Reader.open(server, { accept })];
        const alone = await timeSteps(server, 1, ALONE, healthy);
        const start = ALONE - REPLAY + 1; // the oldest event kept, from where the late reader begins
        const slow = await Reader.open(server, { accept });
        await publishSteps(server, ALONE + 1, ALONE + STEP, [...healthy, slow]);
        slow.stop();
        const end = ALONE + STEP + EVENTS;
        const beside = await timeSteps(server, ALONE + STEP + 1, end, healthy);
        slow.goOn();
        await until('the slow reader to catch up', () => slow.newest === end);
        await publishSteps(server, end + 1, end + STEP, [...healthy, slow]);
        const lost = slow.check(start, end + STEP);
        assert.equal(slow.gaps.length, 1);
        assert.equal(slow.gaps[0].last, end - REPLAY, 'the ring was not used to its end');
        assert.equal(parseId(slow.stream.lastId).sequence, end + STEP);
        for (const reader of healthy) {
            assert.equal(reader.check(1, end + STEP), 0);
            assert.equal(reader.gaps.length, 0);
        }
        assert.equal(await server.metric('lost_events_total'), lost);
        say(`missed ${slow.gaps[0].first} to ${slow.gaps[0].last}: ${lost} of ${EVENTS}; the others got ${alone} ` +
            `events/s before and ${beside} events/s beside it`);
    });

test('with --slow detach the stream of such a reader ends behind its queue, and a resume tells what is lost',
async () => {
    const server = await Server.start(['--replay', `${REPLAY}`, '--stall-timeout', '10m', '--slow', 'detach']);
    const healthy = [await Reader.open(server)];
    const slow = await Reader.open(server);
    await publishSteps(server, 1, STEP, [...healthy, slow]);
    slow.stop();
    await publishSteps(server, STEP + 1, EVENTS, healthy);
    slow.goOn();
    await slow.stream.ending();
    assert.ok(slow.stream.clean, 'the stream was cut instead of ended');
    // Of the queue itself some had left the ring: that is told, but moves no cursor, so the resume begins before it.
    assert.ok(slow.check(1, slow.newest) <= REPLAY);
    assert.equal(await server.metric('lagged_total'), 1);
    const { sequence } = parseId(slow.stream.lastId);
    const again = await server.stream('slow', { lastId: slow.stream.lastId });
    const gap = await again.next();
    assert.equal(gap.type, 'gap');
    assert.deepEqual([gap.facts.first, gap.facts.last, gap.facts.reason], [sequence + 1, EVENTS - REPLAY, 'evicted']);
    assert.equal((await again.take(REPLAY)).length, REPLAY);
    assert.equal(healthy[0].check(1, EVENTS), 0);
});

await run();
