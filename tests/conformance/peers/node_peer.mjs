// Reads requests as node's own server does, over connections in memory: see peers/README.md for what goes in and out.
import http from 'node:http';
import readline from 'node:readline';
import { Duplex } from 'node:stream';

const hex = text => Buffer.from(text, 'latin1').toString('hex');

/** A client that sends these bytes, and FIN when it is told to. */
class Client extends Duplex {
    constructor(bytes) {
        super({ allowHalfOpen: true });
        this.bytes = bytes;
        this.sent = '';
    }
    _read() {
        if (this.bytes.length > 0) this.push(this.bytes);
        this.bytes = Buffer.alloc(0);
    }
    _write(chunk, encoding, done) {
        this.sent += chunk.toString('latin1');
        done();
    }
    setTimeout() {}
    setNoDelay() {}
    setKeepAlive() {}
}

const server = http.createServer({ maxHeaderSize: 16384 });
server.timeout = server.headersTimeout = server.requestTimeout = 0;
server.maxHeadersCount = 0;

/** Collects a request's body, and answers it, for node reads the next one of a pipeline only then. */
function take(request, response) {
    const reading = request.socket.reading;
    const mine = { text: null, request, body: [] };
    reading.requests.push(mine);
    request.on('data', piece => mine.body.push(piece));
    request.on('error', () => {});
    request.on('end', () => {
        mine.text = [hex(request.method), hex(request.url), Buffer.concat(mine.body).toString('hex')].join(':');
        response.end();
    });
}

server.on('request', take);
server.on('checkContinue', (request, response) => {
    response.writeContinue();
    take(request, response);
});
// Not destroyed at once: what was read before the error is still to be told.
server.on('clientError', (error, socket) => {
    socket.reading.errors.push(error.code);
});

/** The connection's end is told by the answers, for the parser's errors also tell of bytes that nobody will look at. */
function verdict(reading, socket) {
    const whole = reading.requests.filter(one => one.text !== null);
    let end = 'done';
    if (/HTTP\/1\.1 4\d\d /.test(socket.sent)) end = 'refuses';
    else if (/\r\nConnection: close\r\n/i.test(socket.sent)) end = 'closes';
    else if (reading.refused) end = 'refuses';
    else if (reading.errors.length > 0 || whole.length < reading.requests.length) end = 'waits';
    return [end, ...whole.map(one => one.text)].join(' ');
}

/** Everything is in memory: when a number of turns have changed nothing, nothing more will. */
function untilQuiet(reading, socket) {
    return new Promise(resolve => {
        let quiet = 0;
        let seen = '';
        const look = () => {
            const now = `${reading.requests.length} ${reading.errors.length} ${socket.sent.length} ${socket.destroyed}`;
            quiet = now === seen ? quiet + 1 : 0;
            seen = now;
            if (quiet < 10) setImmediate(look);
            else resolve();
        };
        look();
    });
}

async function read(bytes) {
    const socket = new Client(bytes);
    const reading = { requests: [], errors: [], refused: false };
    socket.reading = reading;
    server.emit('connection', socket);
    await untilQuiet(reading, socket);
    reading.refused = reading.errors.length > 0 || socket.destroyed;
    if (!socket.destroyed) socket.push(null);
    await untilQuiet(reading, socket);
    socket.destroy();
    return verdict(reading, socket);
}

console.log('node', process.version);
for await (const line of readline.createInterface({ input: process.stdin }))
    console.log(await read(Buffer.from(line, 'hex')));
