// kill -9 and restart on the same port: every client that comes back is told that the epoch has changed, and which
// one it is now. None silently goes on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { loadEventSource } from './packages.mjs';
import { chance, options, parseId, portToKeep, run, Server, test, until, within } from './support.mjs';
import { EventStream, Peer } from './wire.mjs';

const RESTARTS = Number(options.restarts ?? 20);
const SESSION = 'restart';

// Each client has `heard`: {data} of events and {gap} of gaps in their order.

/** A client that is nothing but sockets: it comes back with its last id until it is stopped. */
class RawClient {
    constructor(port, accept) {
        Object.assign(this, { port, accept, heard: [], stopped: false });
        this.running = this.keepComing();
    }

    connect() {
        return Peer.connect({ host: '127.0.0.1', port: this.port });
    }

    async keepComing() {
        while (!this.stopped) {
            try {
                await this.follow();
            } catch (error) {
                if (error.status !== undefined && error.status !== 503) throw error;
                await new Promise(wake => setTimeout(wake, 5)); // the server is down, or on its way out: again
            }
        }
    }

    async follow() {
        this.stream = await EventStream.open(this, SESSION, {
            accept: this.accept, lastId: this.lastId, onFrame: frame => this.take(frame),
        });
        await this.stream.peer.ended;
        this.stream.destroy();
    }

    take(frame) {
        if (frame.type === 'gap') this.heard.push({ gap: frame.facts });
        if (frame.type !== 'event') return;
        this.lastId = frame.id;
        this.heard.push({ data: frame.data, id: frame.id });
    }

    async stop() {
        this.stopped = true;
        this.stream?.destroy();
        await this.running;
    }
}

class NpmClient {
    constructor(EventSource, port) {
        this.heard = [];
        this.source = new EventSource(`http://127.0.0.1:${port}/sessions/${SESSION}/events`);
        const take = event => this.heard.push({ data: event.data, id: event.lastEventId });
        this.source.addEventListener('message', take);
        this.source.addEventListener('gap', event => this.heard.push({ gap: JSON.parse(event.data) }));
    }

    stop() {
        this.source.close();
    }
}

class TailClient {
    constructor(port) {
        this.heard = [];
        this.rest = '';
        const words = ['tail', SESSION, '--url', `http://127.0.0.1:${port}`, '--json'];
        this.child = spawn(options.weir, words, { stdio: ['ignore', 'pipe', 'pipe'] });
        this.ended = new Promise(resolve => this.child.on('close', resolve));
        this.child.stdout.on('data', bytes => this.take(String(bytes)));
        this.child.stderr.on('data', bytes => (this.errors = (this.errors ?? '') + bytes));
    }

    take(text) {
        const lines = (this.rest + text).split('\n');
        this.rest = lines.pop();
        for (const line of lines) this.heard.push(JSON.parse(line));
    }

    async stop() {
        this.child.kill('SIGTERM');
        await within('weir tail to end', this.ended);
    }
}

/** What a client must have heard since it had `from` entries: what was still on its way of the life before, then a
 * gap that names the new epoch, then the events of this life. */
function checkLife(name, client, from, life, epochs, expected) {
    const epoch = epochs.at(-1);
    let heard = client.heard.slice(from);
    if (life > 1) {
        const at = heard.findIndex(entry => entry.gap !== undefined);
        assert.ok(at >= 0, `${name} silently went on in life ${life}`);
        for (const { id } of heard.slice(0, at))
            assert.equal(parseId(id).epoch, epochs.at(-2), `${name} silently went on in life ${life}`);
        heard = heard.slice(at);
    }
    for (const { gap } of heard.filter(entry => entry.gap !== undefined)) {
        assert.equal(gap.reason, 'epoch', name);
        assert.equal(gap.epoch, epoch, `${name}: not the new epoch`);
        assert.equal(gap.lost, null, `${name}: nobody can count what was lost`);
    }
    const events = heard.filter(entry => entry.data !== undefined);
    assert.deepEqual(events.map(event => event.data), expected, `${name}, life ${life}`);
    assert.ok(events.every(event => parseId(event.id).epoch === epoch), `${name}: an id of another epoch`);
}

/** Kills the server while it is being published to: at once, or when the first of these events has arrived. */
async function killInTheMiddle(server, clients, random) {
    const before = clients.map(client => client.heard.length);
    const burst = Array.from({ length: 200 }, (_, i) => `on the way ${i}`);
    const publishing = server.publishLines(SESSION, burst).catch(() => null);
    if (random.below(2))
        await until('the burst to arrive', () => clients.some((client, i) => client.heard.length > before[i]));
    await server.kill();
    await publishing;
}

test(`${RESTARTS} times killed and restarted, every client is told each time (L03, E20)`, async () => {
    const EventSource = await loadEventSource();
    const port = await portToKeep();
    const listen = `127.0.0.1:${port}`;
    const epochs = [];
    const random = chance(options.seed);
    let server = await Server.start(['--retry', '20'], { listen });
    await server.request('PUT', `/sessions/${SESSION}`);
    const clients = {
        'SSE by hand': new RawClient(port, 'text/event-stream'),
        'NDJSON by hand': new RawClient(port, 'application/x-ndjson'),
        'npm eventsource': new NpmClient(EventSource, port),
        'weir tail': new TailClient(port),
    };
    for (let life = 1; life <= RESTARTS + 1; life++) {
        const before = Object.fromEntries(Object.entries(clients).map(([name, { heard }]) => [name, heard.length]));
        if (life > 1) {
            await killInTheMiddle(server, Object.values(clients), random);
            server = await Server.start(['--retry', '20'], { listen });
        }
        const everybody = async () => (await server.metric('streams')) === Object.keys(clients).length;
        await until('all clients to come back', everybody);
        const expected = [`${life}a`, `${life}b`, `${life}c`];
        const { first } = await server.publishLines(SESSION, expected);
        const { epoch } = parseId(first);
        assert.ok(!epochs.includes(epoch), 'an epoch came back');
        epochs.push(epoch);
        for (const [name, client] of Object.entries(clients)) {
            await until(`${name} in life ${life}`, () => client.heard.at(-1)?.data === expected[2]);
            checkLife(name, client, before[name], life, epochs, expected);
        }
    }
    for (const client of Object.values(clients)) await client.stop();
});

await run();
