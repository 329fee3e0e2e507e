// The load generator: small runs against a server of its own in each mode, and against a wrong one, which it must find out.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { options, run, say, Server, temporaryDirectory, test, until, within } from './support.mjs';

/** Starts `weir bench --json`; `ended` gives its exit code, its report, and what it said. */
function start(words) {
    const child = spawn(options.weir, ['bench', '--json', '--io', options.io, ...words],
        { stdio: ['ignore', 'pipe', 'pipe'] });
    const result = { output: '', errors: '' };
    child.stdout.on('data', text => (result.output += text));
    child.stderr.on('data', text => (result.errors += text));
    const closed = new Promise(resolve => child.on('close', resolve));
    const ended = within('the load to end', closed).finally(() => child.kill('SIGKILL')).then(code => {
        assert.ok(!/Sanitizer/.test(result.errors), result.errors);
        return { ...result, code, report: result.output === '' ? null : JSON.parse(result.output) };
    });
    return { child, ended };
}

const bench = words => start(words).ended;

/** A run against weir in which nothing may go wrong; its report. */
async function cleanRun(words, serverWords = []) {
    const server = await Server.start(serverWords);
    const { code, report, errors } =
        await bench(['--weir', `http://${server.address}`, '--server-pid', `${server.pid}`, '--warmup', '100ms', ...words]);
    assert.equal(code, 0, errors);
    assert.equal(report.ok, true);
    for (const what of ['lost', 'repeated', 'disordered', 'foreign', 'changed', 'refused', 'cuts', 'vain_returns'])
        assert.equal(report.checked[what], 0, what);
    assert.ok(report.deliveries > 0 && report.seconds >= 1);
    assert.ok(report.deliveries_per_s > 0 && report.latency_us.count > 0);
    const { p50, p90, p99, p99_9, p99_99, max } = report.latency_us;
    assert.ok(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= p99_9 && p99_9 <= p99_99 && p99_99 <= max);
    assert.equal(report.server.processes, 1);
    assert.ok(report.own_cpu_share > 0 && typeof report.saturated === 'boolean');
    assert.equal(report.load.io, options.io);
    say(`${report.published} published, ${report.deliveries} deliveries, p99 ${p99} us`);
    return report;
}

test('closed loop: every subscriber gets every event, and the server\'s time and memory are told', async () => {
    const report = await cleanRun(['--subscribers', '20', '--sessions', '4', '--publishers', '2', '--depth', '4',
        '--seconds', '1']);
    assert.equal(report.load.mode, 'closed');
    assert.equal(report.checked.lost_told, 0);
    assert.ok(report.server.cpu_s > 0 && report.server.cpu_us_per_delivery > 0);
    // An event has reached all when it has reached the last of its five subscribers.
    assert.ok(report.to_all_us.count > 0 && report.to_all_us.count <= report.latency_us.count / 5 + 1);
    assert.ok(report.to_all_us.p50 >= report.latency_us.p50 && report.to_all_us.max === report.latency_us.max);
    // Five subscribers for each event, whichever was cut off at the ends of the measured time.
    assert.ok(Math.abs(report.deliveries - 5 * report.published) <= 2 * 5 * 8);
});

test('more publishers than sessions, answered instead of delivered, whole URLs and a payload of 5,000 bytes', async () => {
    const server = await Server.start(['--replay', '4096']);
    const at = `http://${server.address}/sessions/mine-#/events`;
    const { code, report, errors } = await bench(['--subscribe', `${at}?from=now`, '--publish', at, '--subscribers', '6',
        '--sessions', '3', '--publishers', '7', '--depth', '2', '--until', 'answered', '--size', '5000', '--seconds', '1',
        '--warmup', '0']);
    assert.equal(code, 0, errors);
    assert.equal(report.checked.lost + report.checked.repeated + report.checked.disordered, 0);
    assert.equal((await server.facts('mine-2')).name, 'mine-2');
});

test('open loop: as many events as the schedule has, no matter when they get through', async () => {
    const report = await cleanRun(['--subscribers', '10', '--sessions', '5', '--publishers', '3', '--rate', '500',
        '--seconds', '2'], ['--replay', '4096']);
    assert.equal(report.load.mode, 'open');
    // Of the events due in the measured time; what was due before may still have been published in it.
    assert.ok(report.sent_late_us.count > 0 && report.sent_late_us.count <= report.published);
    assert.ok(report.sent_late_us.count <= 500 * report.seconds + 1);
    assert.ok(report.sent_late_us.p50 <= report.sent_late_us.max);
    // Two subscribers for each, and each was due before it came.
    assert.ok(report.latency_us.count <= 2 * report.sent_late_us.count);
    assert.ok(report.latency_us.max >= report.sent_late_us.p50);
});

test('storms: all drop and return, and nothing is lost or repeated', async () => {
    const report = await cleanRun(['--subscribers', '30', '--sessions', '3', '--rate', '300', '--storm', '300ms',
        '--seconds', '2'], ['--replay', '65536']);
    assert.ok(report.storms.count > 0);
    assert.ok(0 < report.storms.caught_up_p50_ms && report.storms.caught_up_p50_ms <= report.storms.caught_up_max_ms);
    assert.equal(report.checked.lost_told, 0);
});

test('those who stay away are replayed what was published without them', async () => {
    const report = await cleanRun(['--subscribers', '20', '--rate', '400', '--storm', '100ms', '--storm-once', '--storm-away',
        '100', '--seconds', '1']);
    assert.equal(report.storms.count, 1);
    assert.equal(report.checked.lost_told, 0);
    // Those events were due up to a quarter of a second before anybody could have them.
    assert.ok(report.latency_us.max >= 200_000, `max ${report.latency_us.max} us`);
});

test('one storm only', async () => {
    const report = await cleanRun(['--subscribers', '10', '--depth', '4', '--storm', '200ms', '--storm-once',
        '--seconds', '1']);
    assert.equal(report.storms.count, 1);
});

test('slow readers are told what they lose, and keep nobody else waiting', async () => {
    const report = await cleanRun(['--subscribers', '6', '--slow', '2', '--slow-rate', '2k', '--depth', '8',
        '--size', '16k', '--seconds', '2'], ['--replay', '16', '--stall-timeout', '10m']);
    assert.ok(report.checked.lost_told > 0 && report.checked.gaps > 0);
});

test('without publishers it tells what idle streams hold', async () => {
    const server = await Server.start();
    const { code, report } = await bench(['--weir', `http://${server.address}`, '--server-pid', `${server.pid}`,
        '--publishers', '0', '--subscribers', '50', '--sessions', '50', '--seconds', '1', '--warmup', '0']);
    assert.equal(code, 0);
    assert.equal(report.load.mode, 'idle');
    assert.equal(report.deliveries, 0);
    assert.equal(typeof report.server.rss_per_connection, 'number');
});

test('a server that is not there, a refusal, and a wrong command line each have their exit code', async () => {
    const server = await Server.start(['--sessions', 'strict']);
    const strict = await bench(['--weir', `http://${server.address}`, '--seconds', '1']);
    assert.equal(strict.code, 4);
    assert.match(strict.errors, /status 404/);
    await server.stop();
    const gone = await bench(['--weir', `http://${server.address}`, '--seconds', '1']);
    assert.equal(gone.code, 1);
    assert.match(gone.errors, /refused/);
    assert.equal((await bench(['--storm-once'])).code, 2);
    assert.equal((await bench(['--subscribe', 'nowhere'])).code, 2);
    assert.equal((await bench(['--size', '10'])).code, 2);
    assert.equal((await bench(['--storm', '1s', '--storm-away', '10'])).code, 2);
    assert.equal((await bench(['--body', 'no place'])).code, 2);
    assert.equal((await bench(['--body', '@ @'])).code, 2);
});

test('it presents a token, and gives up where none of its publishes is taken', async () => {
    const file = path.join(temporaryDirectory(), 'token');
    fs.writeFileSync(file, '0123456789abcdef\n', { mode: 0o600 });
    const server = await Server.start(['--token-file', file]);
    const words = ['--weir', `http://${server.address}`, '--warmup', '0', '--subscribers', '2', '--seconds'];
    const without = await bench([...words, '600']);
    assert.equal(without.code, 4);
    assert.match(without.errors, /status 401/);
    assert.match(without.errors, /refused the first/);
    const { code, report } = await bench([...words, '1', '--token-file', file]);
    assert.equal(code, 0);
    assert.ok(report.deliveries > 0);
});

test('interrupted it reports what it has', async () => {
    const server = await Server.start();
    const load = start(['--weir', `http://${server.address}`, '--warmup', '0', '--seconds', '600']);
    // More than can be in flight: so something has come back.
    await until('events to be published', async () => (await server.facts('bench-0'))?.published > 100);
    load.child.kill('SIGINT');
    const { code, report, errors } = await load.ended;
    assert.equal(code, 130, errors);
    assert.equal(report.ok, true);
    assert.ok(report.checked.received > 0);
});

// ---- A wrong server ------------------------------------------------------------------------------------------------

const FAULT_EVERY = 40;
const STALL_MS = 500;

/** A server of events that does as it should but for one fault, named by a method of `faults`. */
class WrongServer {
    static async start(fault) {
        const server = new WrongServer();
        Object.assign(server, { fault, sessions: new Map() });
        server.http = http.createServer((request, response) => server.take(request, response));
        await new Promise(resolve => server.http.listen(0, '127.0.0.1', resolve));
        server.address = `127.0.0.1:${server.http.address().port}`;
        return server;
    }

    session(name) {
        if (!this.sessions.has(name)) this.sessions.set(name, { posts: 0, events: [], subscribers: [] });
        return this.sessions.get(name);
    }

    take(request, response) {
        const session = this.session(request.url.split('/').pop());
        if (request.method === 'GET') {
            response.writeHead(200, { 'Content-Type': 'text/event-stream' });
            response.flushHeaders();
            const id = request.headers['last-event-id'];
            const from = id === undefined ? session.events.length : Number(id) + (this.fault.resumeOffset ?? 0);
            const subscriber = { response, from, held: null };
            session.events.forEach((body, i) => this.send(subscriber, i + 1, body));
            session.subscribers.push(subscriber);
            response.on('close', () => session.subscribers.splice(session.subscribers.indexOf(subscriber), 1));
            return;
        }
        let body = '';
        request.on('data', piece => (body += piece));
        request.on('end', () => this.publish(session, body, request.socket, response));
    }

    publish(session, body, socket, response) {
        if (socket.isLast) return; // it was said that the answer before this is the last one
        session.posts++;
        if (this.fault.unwrap) body = body.match(this.fault.unwrap)[1];
        if (session.posts === this.fault.stallAt) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
        const refused = this.fault.refuse && session.posts % FAULT_EVERY === 0;
        socket.isLast = this.fault.close && session.posts % FAULT_EVERY === 0;
        // Closing at once, with requests unread, would be a reset, which can destroy the answer on its way.
        if (socket.isLast) socket.destroySoon = socket.end;
        response.writeHead(refused ? 503 : 201, socket.isLast ? { Connection: 'close' } : {});
        response.end('{}');
        if (refused) return;
        session.events.push(body);
        const number = session.events.length;
        const [victim, ...others] = session.subscribers;
        for (const subscriber of others) this.send(subscriber, number, body);
        if (victim === undefined) return;
        const turn = session.posts % FAULT_EVERY;
        if (this.fault.deliver && turn <= 1) this.fault.deliver(this, victim, number, body, turn === 0);
        else this.send(victim, number, body);
    }

    send(subscriber, number, body) {
        if (number > subscriber.from) subscriber.response.write(`id: ${number}\ndata: ${body}\n\n`);
    }

    stop() {
        this.http.closeAllConnections();
        return new Promise(resolve => this.http.close(resolve));
    }
}

// `deliver` replaces the sending of two events of FAULT_EVERY to one subscriber; `first` tells which of them it is.
const faults = {
    none: {},
    'it closes now and then behind an answer': { close: true },
    'it drops events': {
        finds: ['lost', /event \d+ of publisher 0/],
        deliver: (server, victim, number, body, first) => {
            if (!first) server.send(victim, number, body);
        },
    },
    'it repeats events': {
        finds: ['repeated', /came again/],
        deliver: (server, victim, number, body) => {
            server.send(victim, number, body);
            server.send(victim, number, body);
        },
    },
    'it swaps events': {
        finds: ['disordered', /came behind a later one/],
        deliver: (server, victim, number, body, first) => {
            if (first) {
                victim.held = body;
                return;
            }
            server.send(victim, number, body);
            if (victim.held !== null) server.send(victim, number - 1, victim.held);
            victim.held = null;
        },
    },
    'it changes events': {
        finds: ['changed', /changed or cut/],
        deliver: (server, victim, number, body) => server.send(victim, number, `${body.slice(0, -1)}!`),
    },
    'it cuts events': {
        finds: ['changed', /changed or cut/],
        deliver: (server, victim, number, body) => server.send(victim, number, body.slice(0, -1)),
    },
    'it mixes sessions up': {
        finds: ['foreign', /of another session/],
        deliver: (server, victim, number, body) => {
            server.send(victim, number, body);
            for (const { subscribers } of server.sessions.values()) {
                if (!subscribers.includes(victim) && subscribers.length > 0) server.send(subscribers[0], number, body);
            }
        },
    },
};

function load(server, words = []) {
    return bench(['--subscribe', `http://${server.address}/#`, '--publish', `http://${server.address}/#`,
        '--subscribers', '4', '--sessions', '2', '--depth', '8', '--seconds', '1', '--warmup', '0', ...words]);
}

async function withServer(fault, body) {
    const server = await WrongServer.start(fault);
    try {
        await body(server);
    } finally {
        await server.stop();
    }
}

for (const [name, fault] of Object.entries(faults)) {
    const sentence = fault.finds ? `a wrong server is found out: ${name}` : `another server passes: ${name}`;
    test(sentence, () => withServer(fault, async server => {
        const { code, report, errors } = await load(server);
        assert.ok(report.checked.received > 2 * FAULT_EVERY, errors);
        if (!fault.finds) {
            assert.equal(code, 0, errors);
            return;
        }
        const [what, words] = fault.finds;
        assert.equal(code, 1, errors);
        assert.equal(report.ok, false);
        assert.ok(report.checked[what] > 0, JSON.stringify(report.checked));
        assert.match(errors, words);
        assert.match(errors, new RegExp(`${what} [1-9]`));
    }));
}

for (const [what, resumeOffset] of [['repeated', -1], ['lost', 1]])
    test(`a wrong server is found out: after a storm one event is ${what}`, () =>
        withServer({ resumeOffset }, async server => {
            const { code, report, errors } = await load(server, ['--rate', '2000', '--storm', '100ms']);
            assert.equal(code, 1, errors);
            assert.ok(report.storms.count > 0);
            assert.ok(report.checked[what] > 0, JSON.stringify(report.checked));
        }));

test('the payload goes where --body has its place', () =>
    withServer({ unwrap: /^{"session":"[01]","text":"([^"]*)"}$/ }, async server => {
        const { code, report, errors } = await load(server, ['--body', '{"session":"#","text":"@"}']);
        assert.equal(code, 0, errors);
        assert.ok(report.checked.received > 0);
    }));

test('publishes that the server refuses are told, and are no loss', () => withServer({ refuse: true }, async server => {
    const { code, report, errors } = await load(server);
    assert.equal(code, 4, errors);
    assert.ok(report.checked.refused > 0);
    assert.equal(report.checked.lost, 0);
    assert.match(errors, /was refused: status 503/);
}));

test('what becomes due while the server stands still is late from when it was due', () =>
    withServer({ stallAt: 100 }, async server => {
        // 6,000 events become due in that time, of which 4,096 can be sent; all of them wait, on average for half of it.
        const { code, report, errors } = await load(server, ['--sessions', '1', '--rate', '12000', '--patience', '30s']);
        assert.equal(code, 0, errors);
        assert.ok(report.latency_us.max >= STALL_MS * 900, `max ${report.latency_us.max} us`);
        assert.ok(report.latency_us.p90 >= STALL_MS * 500, `p90 ${report.latency_us.p90} us`);
        assert.ok(report.sent_late_us.max >= STALL_MS * 200, `sent late ${report.sent_late_us.max} us`);
    }));

await run();
