// A server of events as one writes it with better-sse: a channel for each session, GET /subscribe/N registers with it,
// POST /publish/N broadcasts the body. Payloads are text, so nothing is made JSON; the rest is the library's default.
import http from 'node:http';
import { createRequire } from 'node:module';

const { createChannel, createSession } = createRequire(`${process.cwd()}/`)('better-sse');
const channels = new Map();

function channelOf(name) {
    if (!channels.has(name)) channels.set(name, createChannel());
    return channels.get(name);
}

async function subscribe(request, response, name) {
    const session = await createSession(request, response, { serializer: text => text });
    channelOf(name).register(session);
}

function publish(request, response, name) {
    const pieces = [];
    request.on('data', piece => pieces.push(piece));
    request.on('end', () => {
        channelOf(name).broadcast(Buffer.concat(pieces).toString());
        response.writeHead(201).end();
    });
}

const server = http.createServer((request, response) => {
    const [, what, name] = request.url.split('/');
    (what === 'publish' ? publish : subscribe)(request, response, name);
});
server.keepAliveTimeout = 0; // the load's connections stay
server.requestTimeout = 0;
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () =>
    console.log(`listening on 127.0.0.1:${server.address().port}`));
