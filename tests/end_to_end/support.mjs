// What every end-to-end test needs: its options, its sentences, a server of its own, and bounded waits.
//
// A file registers tests with `test(sentence, body)` and ends with `await run()`. It is started as
//     node NAME.mjs --weir PATH --io uring|epoll [--seed N] [--only TEXT] [further options of its own]
// and exits with 0, with 1 when a sentence does not hold, or with 77 when this machine cannot run it.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { EventStream, Peer } from './wire.mjs';

const PATIENCE_MS = 60000; // of one wait: far beyond what any condition here takes on a slow machine
const SKIP = 77;

function readOptions(words) {
    const found = { weir: null, io: 'epoll', seed: String(Date.now() % 1000000), only: '' };
    for (let i = 0; i < words.length; i += 2) {
        if (!words[i].startsWith('--') || words[i + 1] === undefined) throw new Error(`what is ${words[i]}?`);
        found[words[i].slice(2)] = words[i + 1];
    }
    if (found.weir === null) throw new Error('--weir PATH is missing');
    return found;
}

export const options = readOptions(process.argv.slice(2));

// ---- Sentences ----------------------------------------------------------------------------------------------------

const tests = [];

export function test(sentence, body) {
    tests.push({ sentence, body });
}

export function skip(reason) {
    console.log(`SKIPPED  ${reason}`);
    process.exit(SKIP);
}

class LeftOut extends Error {}

/** Ends a sentence that this machine cannot say anything about: then the whole program ends as skipped, if nothing fails. */
export function leaveOut(reason) {
    throw new LeftOut(reason);
}

export function say(text) {
    console.log(`         ${text}`);
}

function complain(sentence, error) {
    console.log(`FAILED   ${sentence}`);
    console.log(String(error?.stack ?? error).replace(/^/gm, '         '));
}

/** A kernel or container without io_uring cannot say anything about it. */
async function skipWithoutBackend() {
    if (options.io !== 'uring') return;
    await Server.start().catch(error => {
        if (/io_uring.*(not permitted|not implemented|not supported|Cannot allocate)/.test(error.message))
            skip(`io_uring cannot be used here: ${error.message}`);
        throw error;
    });
    await endServers();
}

/** Runs what was registered, then `cleanUp`, and ends the process. */
export async function run(cleanUp = async () => {}) {
    await skipWithoutBackend();
    let failures = 0;
    let leftOut = 0;
    const chosen = tests.filter(each => each.sentence.includes(options.only));
    console.log(`${chosen.length} tests on ${options.io}, seed ${options.seed}`);
    for (const { sentence, body } of chosen) {
        const started = Date.now();
        let failure = null;
        try {
            await body();
        } catch (error) {
            failure = error ?? new Error('failed without a word');
        }
        const wrong = await endServers();
        if (failure && wrong) failure = new Error(`${failure.stack}\nand ${wrong.message}`);
        failure ??= wrong;
        if (failure instanceof LeftOut) {
            leftOut++;
            console.log(`SKIPPED  ${sentence}: ${failure.message}`);
        } else if (failure) {
            failures++;
            complain(sentence, failure);
        } else {
            console.log(`ok       ${sentence} (${Date.now() - started} ms)`);
        }
    }
    await cleanUp();
    console.log(failures ? `${failures} of ${chosen.length} failed` : `${chosen.length - leftOut} of ${chosen.length} hold`);
    process.exit(failures || chosen.length === 0 ? 1 : leftOut ? SKIP : 0);
}

// ---- Waiting and chance -------------------------------------------------------------------------------------------

const pause = ms => new Promise(wake => setTimeout(wake, ms));

/** Waits until `condition` gives something true, and returns that. Polling is for what does not announce itself. */
export async function until(what, condition, patience = PATIENCE_MS) {
    const deadline = Date.now() + patience;
    for (;;) {
        const result = await condition();
        if (result) return result;
        if (Date.now() > deadline) throw new Error(`waited ${patience} ms in vain for ${what}`);
        await pause(5);
    }
}

/** The promise's value, or an error that names what did not happen. */
export function within(what, promise, patience = PATIENCE_MS) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited ${patience} ms in vain for ${what}`)), patience);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A seeded source of chance (splitmix32): below(n) gives 0 to n - 1. */
export function chance(seed) {
    let state = Number(seed) >>> 0;
    return {
        below(bound) {
            state = (state + 0x9E3779B9) >>> 0;
            let mixed = Math.imul(state ^ (state >>> 16), 0x21F0AAAD);
            mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735A2D97);
            return ((mixed ^ (mixed >>> 15)) >>> 0) % bound;
        },
    };
}

// ---- Servers ------------------------------------------------------------------------------------------------------

const running = new Set();

/** Ends what a test has left running. Returns what a server did wrong meanwhile or at its end, or null. */
async function endServers() {
    let wrong = null;
    for (const server of [...running]) {
        const crashed = server.crashed();
        const end = crashed ? 'by itself' : await server.stop().catch(error => error);
        running.delete(server);
        server.child.kill('SIGKILL');
        if (crashed || (end !== 0)) wrong ??= new Error(`the server ended: ${server.describeEnd()}`);
        if (/Sanitizer/.test(server.errors)) wrong ??= new Error(server.errors);
    }
    return wrong;
}

export class Server {
    /** Starts `weir serve` on a free port and waits for the lines that say where it listens. `options.wrapper` is a
     * command to run it under; `options.listen` an address other than a free port; `options.io` another backend;
     * `options.program` another copy of the program. */
    static async start(extra = [], { wrapper = [], listen = '127.0.0.1:0', io = options.io, program = options.weir } = {}) {
        const server = new Server();
        const words = [...wrapper, program, 'serve', '--listen', listen, '--io', io, ...extra];
        server.output = '';
        server.errors = '';
        server.expectedEnd = false;
        server.child = spawn(words[0], words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
        server.child.stdout.on('data', text => (server.output += text));
        server.child.stderr.on('data', text => (server.errors += text));
        server.ended = new Promise(resolve => {
            server.child.on('close', (code, signal) => resolve((server.end = { code, signal })));
        });
        running.add(server);
        await until('the server to say where it listens', () => server.end || /^backend: /m.test(server.output));
        if (server.end) {
            running.delete(server);
            throw new Error(`the server did not start: ${server.describeEnd()}`);
        }
        server.pid = server.child.pid;
        server.address = /^listening on http:\/\/(.*)$/m.exec(server.output)[1];
        server.port = Number(server.address.slice(server.address.lastIndexOf(':') + 1));
        return server;
    }

    crashed() {
        return this.end !== undefined && !this.expectedEnd;
    }

    describeEnd() {
        return `code ${this.end?.code}, signal ${this.end?.signal}\n${this.output}${this.errors}`;
    }

    signal(name) {
        this.expectedEnd = true;
        this.child.kill(name);
    }

    /** Waits for the end of a server that was told to go; its exit code, or the name of the signal that killed it. */
    async exit() {
        running.delete(this);
        const end = await within('the server to exit', this.ended);
        return end.code ?? end.signal;
    }

    async kill() {
        if (this.end === undefined) this.signal('SIGKILL');
        return this.exit();
    }

    /** Ends it as an impatient administrator does: with two signals. Its exit code; 0 also if it had ended before. */
    async stop() {
        if (this.end !== undefined) return 0;
        const announced = () => this.end || /draining/.test(this.errors);
        this.signal('SIGTERM');
        // ThreadSanitizer keeps a signal to itself now and then (tests/torture/CMakeLists.txt): then one more.
        if (isInstrumented()) await until('the drain', announced, 5000).catch(() => this.signal('SIGTERM'));
        await until('the drain to be announced', announced);
        this.signal('SIGTERM');
        return this.exit();
    }

    connect(settings) {
        return Peer.connect({ host: '127.0.0.1', port: this.port, ...settings });
    }

    /** One request on a connection of its own. */
    async request(method, target, { headers = {}, body = '', connect = {} } = {}) {
        const peer = await this.connect(connect);
        try {
            const lines = [`${method} ${target} HTTP/1.1`, 'Host: weir.test', 'Connection: close'];
            for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
            const bytes = Buffer.from(body);
            if (bytes.length > 0 || method === 'POST') lines.push(`Content-Length: ${bytes.length}`);
            peer.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]));
            return await peer.response({ head: method === 'HEAD' });
        } finally {
            peer.destroy();
        }
    }

    /** Publishes one event, which must be accepted; its id. */
    async publish(session, data, { event } = {}) {
        const kind = event === undefined ? '' : `?event=${encodeURIComponent(event)}`;
        const answer = await this.request('POST', `/sessions/${session}/events${kind}`, { body: data });
        if (answer.status !== 201) throw new Error(`not published: ${answer.status} ${answer.text}`);
        return answer.json.id;
    }

    /** Publishes each line as an event in one request; {first, last, count}. */
    async publishLines(session, lines) {
        const body = lines.map(line => `${line}\n`).join('');
        const answer = await this.request('POST', `/sessions/${session}/events?split=lines`, { body });
        if (answer.status !== 201) throw new Error(`not published: ${answer.status} ${answer.text}`);
        return answer.json;
    }

    async facts(session) {
        const answer = await this.request('GET', `/sessions/${session}`);
        return answer.status === 200 ? answer.json : null;
    }

    /** The value of a metric without labels. */
    async metric(name) {
        const { text } = await this.request('GET', '/metrics');
        return Number(new RegExp(`^weir_${name} (\\d+)$`, 'm').exec(text)[1]);
    }

    stream(session, settings) {
        return EventStream.open(this, session, settings);
    }

    descriptors() {
        return fs.readdirSync(`/proc/${this.pid}/fd`).length;
    }

    /** The kernel's facts about the process, from its state on. */
    kernelFields() {
        const stat = fs.readFileSync(`/proc/${this.pid}/stat`, 'utf8');
        return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    }

    /** R running, S asleep, T stopped. */
    state() {
        return this.kernelFields()[0];
    }

    threads() {
        return Number(this.kernelFields()[17]);
    }

    /** Processor time used so far. */
    processorMs() {
        const fields = this.kernelFields();
        return (Number(fields[11]) + Number(fields[12])) * 10;
    }

    residentKib() {
        return Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]);
    }
}

// ---- Odds and ends ------------------------------------------------------------------------------------------------

export function hasCommand(name) {
    return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
}

/** Whether the command was built with a sanitizer, which has memory and habits of its own. */
export function isInstrumented() {
    return /__[at]san_init/.test(fs.readFileSync(options.weir, 'latin1'));
}

/** A directory that is gone when the test process is. */
export function temporaryDirectory() {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-test-'));
    process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
    return directory;
}

/** A port for a server that is to come back on it. Outside the range from which the kernel takes ports for outgoing
 * connections: there a client that retries while nobody listens can end up connected to itself. */
export async function portToKeep() {
    const random = chance(process.pid + Date.now());
    for (;;) {
        const port = 15000 + random.below(15000);
        const free = await new Promise(resolve => {
            const probe = net.createServer();
            probe.on('error', () => resolve(false));
            probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
        });
        if (free) return port;
    }
}

/** The sequence in a wire id, and its epoch. To clients ids are opaque; a test may look. */
export function parseId(id) {
    const dot = id.lastIndexOf('.');
    return { epoch: id.slice(0, dot), sequence: Number(id.slice(dot + 1)) };
}

process.on('exit', () => {
    for (const server of running) server.child.kill('SIGKILL');
});
