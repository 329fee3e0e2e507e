// A client of HTTP/1.1, SSE and NDJSON that shares nothing with weir's own code: what the server is measured by.
import net from 'node:net';

const PATIENCE_MS = 60000;

// ---- Heads --------------------------------------------------------------------------------------------------------

/** The head at the start of the bytes with the size that it takes, or null while it is not complete. */
export function parseHead(bytes) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const [first, ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const match = /^HTTP\/1\.1 (\d{3}) (.+)$/.exec(first);
    if (!match) throw new Error(`no status line: ${first}`);
    const headers = {};
    for (const line of lines) {
        const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?(.*)$/.exec(line);
        if (!field) throw new Error(`no header line: ${line}`);
        const name = field[1].toLowerCase();
        if (name in headers) throw new Error(`the header ${name} was sent twice`);
        headers[name] = field[2];
    }
    return { status: Number(match[1]), reason: match[2], headers, size: end + 4 };
}

// ---- Chunks -------------------------------------------------------------------------------------------------------

/** Takes chunks apart, whatever the pieces in which they come. `give` gets data; `done` tells of the last chunk. */
export class ChunkDecoder {
    constructor(give) {
        this.give = give;
        this.left = 0;
        this.state = 'size';
        this.line = '';
        this.done = false;
    }

    feed(bytes) {
        let at = 0;
        while (at < bytes.length) {
            if (this.done) throw new Error('bytes behind the last chunk');
            if (this.state === 'data') {
                const piece = bytes.subarray(at, at + this.left);
                this.left -= piece.length;
                at += piece.length;
                this.give(piece);
                if (this.left === 0) this.state = 'end';
                continue;
            }
            const byte = String.fromCharCode(bytes[at++]);
            this.line += byte;
            if (byte === '\n') this.takeLine();
        }
    }

    takeLine() {
        const { line, state } = this;
        this.line = '';
        if (!line.endsWith('\r\n')) throw new Error('a chunk line does not end with CR LF');
        if (state === 'size') {
            if (!/^[0-9a-f]+\r\n$/i.test(line)) throw new Error(`no chunk size: ${JSON.stringify(line)}`);
            this.left = parseInt(line, 16);
            this.state = this.left === 0 ? 'last' : 'data';
        } else {
            if (line !== '\r\n') throw new Error(`no end of a chunk: ${JSON.stringify(line)}`);
            this.done = state === 'last';
            this.state = 'size';
        }
    }
}

// ---- Event streams ------------------------------------------------------------------------------------------------

/** SSE as the WHATWG standard has it, byte by byte tolerant of any cut. Gives {type: 'event', id, kind, data},
 * {type: 'comment', text} and {type: 'retry', ms}. `id` is undefined for an event that carries none. */
export class SseDecoder {
    constructor(give) {
        this.give = give;
        this.text = new TextDecoder('utf-8', { fatal: true });
        this.rest = '';
        this.begin();
    }

    begin() {
        this.data = [];
        this.kind = '';
        this.id = undefined;
    }

    feed(bytes) {
        const text = this.rest + this.text.decode(bytes, { stream: true });
        const breaks = /\r\n|\n|\r(?!$)/g; // a CR at the very end may be half of a CRLF: it waits for what follows
        let from = 0;
        for (let found = breaks.exec(text); found !== null; found = breaks.exec(text)) {
            this.takeLine(text.slice(from, found.index));
            from = breaks.lastIndex;
        }
        this.rest = text.slice(from);
    }

    takeLine(line) {
        if (line === '') return this.dispatch();
        const colon = line.indexOf(':');
        if (colon === 0) return this.give({ type: 'comment', text: line.slice(1) });
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
        if (name === 'data') this.data.push(value);
        else if (name === 'event') this.kind = value;
        else if (name === 'id' && !value.includes('\0')) this.id = value;
        else if (name === 'retry' && /^[0-9]+$/.test(value)) this.give({ type: 'retry', ms: Number(value) });
        return undefined;
    }

    dispatch() {
        if (this.data.length > 0)
            this.give({ type: 'event', id: this.id, kind: this.kind || 'message', data: this.data.join('\n') });
        this.begin();
    }
}

/** NDJSON as weir defines it, given in the shape of the SSE decoder's events. */
export class NdjsonDecoder {
    constructor(give) {
        this.give = give;
        this.text = new TextDecoder('utf-8', { fatal: true });
        this.rest = '';
    }

    feed(bytes) {
        const lines = (this.rest + this.text.decode(bytes, { stream: true })).split('\n');
        this.rest = lines.pop();
        for (const line of lines) this.takeObject(JSON.parse(line));
    }

    takeObject(object) {
        if (object.heartbeat) return this.give({ type: 'comment', text: '' });
        for (const control of ['gap', 'end'])
            if (control in object)
                return this.give({ type: 'event', kind: control, data: JSON.stringify(object[control]) });
        return this.give({ type: 'event', id: object.id, kind: object.event ?? 'message', data: object.data });
    }
}

// ---- Connections --------------------------------------------------------------------------------------------------

/** One TCP or Unix connection. What arrives waits in `received` until it is taken, or goes to `onData`. */
export class Peer {
    static connect(where) {
        return new Promise((resolve, reject) => {
            const socket = net.connect({ allowHalfOpen: true, ...where });
            socket.once('error', reject);
            socket.once('connect', () => {
                socket.removeListener('error', reject);
                resolve(new Peer(socket));
            });
        });
    }

    constructor(socket) {
        this.socket = socket;
        this.received = Buffer.alloc(0);
        this.finished = false; // the server has sent its FIN
        this.error = null;
        this.waiting = null;
        this.onData = null;
        socket.setNoDelay(true);
        socket.on('data', bytes => this.takeData(bytes));
        socket.on('end', () => this.takeEnd());
        socket.on('error', error => (this.error = error));
        this.ended = new Promise(resolve => socket.on('end', resolve).on('close', resolve));
        this.closed = new Promise(resolve => socket.on('close', () => resolve(this.takeEnd())));
    }

    takeData(bytes) {
        if (this.onData) {
            this.onData(bytes);
            return;
        }
        this.received = this.received.length ? Buffer.concat([this.received, bytes]) : bytes;
        this.waiting?.();
    }

    takeEnd() {
        this.finished = true;
        this.waiting?.();
    }

    write(data) {
        this.socket.write(data);
    }

    /** Writes and waits until the kernel has taken it. */
    flush(data) {
        return new Promise(resolve => this.socket.write(data, resolve));
    }

    /** FIN: nothing more will be sent. */
    finish() {
        this.socket.end();
    }

    destroy() {
        this.socket.destroy();
    }

    /** Closes with a reset instead of a FIN. */
    reset() {
        this.socket.resetAndDestroy();
    }

    /** Waits until `find` gives something else than null for what was received, or nothing more can come. */
    async find(what, find) {
        const deadline = Date.now() + PATIENCE_MS;
        for (;;) {
            const found = find(this.received, this.finished);
            if (found !== null) return found;
            if (this.finished)
                throw new Error(`the connection ended before ${what}; ${this.error ?? 'no error'}; ` +
                    `received ${JSON.stringify(this.received.toString('latin1').slice(0, 400))}`);
            if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`);
            await new Promise(wake => {
                const timer = setTimeout(wake, 1000);
                this.waiting = () => {
                    clearTimeout(timer);
                    wake();
                };
            });
            this.waiting = null;
        }
    }

    take(size) {
        const taken = this.received.subarray(0, size);
        this.received = this.received.subarray(size);
        return taken;
    }

    async head() {
        const head = await this.find('a response head', parseHead);
        this.take(head.size);
        return head;
    }

    /** The next response with its body; `head: true` for the answer to HEAD, which has none. */
    async response({ head = false } = {}) {
        const answer = await this.head();
        const length = Number(answer.headers['content-length'] ?? 0);
        if (!head && answer.status >= 200) {
            await this.find('a response body', bytes => (bytes.length >= length ? true : null));
            answer.body = this.take(length);
        } else {
            answer.body = Buffer.alloc(0);
        }
        answer.text = answer.body.toString('utf8');
        if (answer.headers['content-type'] === 'application/json' && !head) {
            answer.json = JSON.parse(answer.text);
            answer.code = answer.json.error?.code;
        }
        return answer;
    }

    /** Everything up to the end of the connection. */
    async rest() {
        await this.find('the end of the connection', (_, finished) => (finished ? true : null));
        return this.take(this.received.length);
    }
}

// ---- A subscriber -------------------------------------------------------------------------------------------------

/** An open stream of a session. Frames wait in `frames` until taken; gaps and ends, which carry no id, get the types
 * 'gap' and 'end' with their `facts`. */
export class EventStream {
    static async open(server, session, settings = {}) {
        const { accept = 'text/event-stream', lastId, query = '', headers = {}, version = '1.1' } = settings;
        const peer = await server.connect(settings.connect);
        const lines = [`GET /sessions/${session}/events${query} HTTP/${version}`, 'Host: weir.test'];
        if (accept !== null) lines.push(`Accept: ${accept}`);
        if (lastId !== undefined) lines.push(`Last-Event-ID: ${lastId}`);
        for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
        peer.write(`${lines.join('\r\n')}\r\n\r\n`);
        const head = await peer.head().catch(error => {
            peer.destroy();
            throw error;
        });
        if (head.status !== 200) {
            peer.destroy();
            throw Object.assign(new Error(`no stream but ${head.status}`), { status: head.status });
        }
        return new EventStream(peer, head, settings.onFrame);
    }

    constructor(peer, head, onFrame) {
        this.peer = peer;
        this.head = head;
        this.frames = [];
        this.lastId = undefined;
        this.waiting = null;
        this.problem = null;
        this.onFrame = onFrame ?? (frame => this.frames.push(frame));
        const Decoder = head.headers['content-type'] === 'text/event-stream' ? SseDecoder : NdjsonDecoder;
        this.decoder = new Decoder(frame => this.takeFrame(frame));
        this.chunks = head.headers['transfer-encoding'] === 'chunked'
            ? new ChunkDecoder(data => this.decoder.feed(data)) : null;
        this.over = new Promise(resolve => (this.tellOver = resolve)); // with its last chunk, or with its connection
        peer.ended.then(this.tellOver);
        peer.onData = bytes => this.takeBytes(bytes);
        peer.waiting = () => this.waiting?.();
        if (peer.received.length > 0) peer.onData(peer.take(peer.received.length));
    }

    takeBytes(bytes) {
        try {
            (this.chunks ?? this.decoder).feed(bytes);
        } catch (error) {
            this.problem ??= error;
        }
        if (this.chunks?.done) this.tellOver();
        this.waiting?.();
    }

    takeFrame(frame) {
        if (frame.type === 'event' && frame.id === undefined && (frame.kind === 'gap' || frame.kind === 'end')) {
            frame.type = frame.kind;
            frame.facts = JSON.parse(frame.data);
        }
        if (frame.id !== undefined) this.lastId = frame.id;
        this.onFrame(frame);
    }

    /** Whether the stream ended with its last chunk. */
    get clean() {
        return this.peer.finished && (this.chunks === null || this.chunks.done);
    }

    async wait(what, condition) {
        const deadline = Date.now() + PATIENCE_MS;
        for (;;) {
            if (this.problem) throw this.problem;
            const found = condition();
            if (found) return found;
            if (this.peer.finished) throw new Error(`the stream ended before ${what}; ${this.peer.error ?? ''}`);
            if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`);
            await new Promise(wake => {
                const timer = setTimeout(wake, 1000);
                this.waiting = () => {
                    clearTimeout(timer);
                    wake();
                };
            });
            this.waiting = null;
        }
    }

    /** Takes the next frame of one of these types; others before it are passed over. */
    async next(...types) {
        const wanted = types.length ? types : ['event', 'gap', 'end'];
        return this.wait(`a frame of ${wanted}`, () => {
            while (this.frames.length > 0) {
                const frame = this.frames.shift();
                if (wanted.includes(frame.type)) return frame;
            }
            return null;
        });
    }

    /** The data of the next `count` events. Anything but an event between them is an error. */
    async take(count) {
        const data = [];
        while (data.length < count) {
            const frame = await this.next();
            if (frame.type !== 'event') throw new Error(`${frame.type} instead of an event: ${frame.data}`);
            data.push(frame.data);
        }
        return data;
    }

    /** Waits for the end of the stream. */
    async ending() {
        await this.wait('the end of the stream', () => this.peer.finished);
    }

    destroy() {
        this.peer.destroy();
    }
}
