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

    /** Every number is either received or in a gap, in order; returns how many were lost. */
    check(newest) {
        let next = 1;
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

for (const accept of ['text/event-stream', 'application/x-ndjson'])
    test(`a reader of ${accept} that stops gets one exact gap and goes on (N03, S17)`, async () => {
        const server = await Server.start(['--replay', `${REPLAY}`, '--stall-timeout', '10m']);
        const healthy = [await Reader.open(server, { accept }), await Reader.open(server, { accept })];
        const slow = await Reader.open(server, { accept });
        await publishSteps(server, 1, STEP, [...healthy, slow]);
        slow.stop();
        await publishSteps(server, STEP + 1, EVENTS, healthy);
        slow.goOn();
        await until('the slow reader to catch up', () => slow.newest === EVENTS);
        await publishSteps(server, EVENTS + 1, EVENTS + STEP, [...healthy, slow]);
        const lost = slow.check(EVENTS + STEP);
        assert.equal(slow.gaps.length, 1);
        assert.equal(slow.gaps[0].last, EVENTS - REPLAY, 'the ring was not used to its end');
        assert.equal(slow.stream.lastId.split('.')[1], `${EVENTS + STEP}`);
        for (const reader of healthy) {
            assert.equal(reader.check(EVENTS + STEP), 0);
            assert.equal(reader.gaps.length, 0);
        }
        assert.equal(await server.metric('lost_events_total'), lost);
        say(`missed ${slow.gaps[0].first} to ${slow.gaps[0].last}: ${lost} of ${EVENTS}`);
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
    assert.ok(slow.check(slow.newest) <= REPLAY);
    assert.equal(await server.metric('lagged_total'), 1);
    const { sequence } = parseId(slow.stream.lastId);
    const again = await server.stream('slow', { lastId: slow.stream.lastId });
    const gap = await again.next();
    assert.equal(gap.type, 'gap');
    assert.deepEqual([gap.facts.first, gap.facts.last, gap.facts.reason], [sequence + 1, EVENTS - REPLAY, 'evicted']);
    assert.equal((await again.take(REPLAY)).length, REPLAY);
    assert.equal(healthy[0].check(EVENTS), 0);
});

await run();
