// Behind real proxies: streams pass at once, connections to the server are shared and leak nothing from one user to
// the next, a client that goes is noticed, and whoever is cut, wherever, resumes exactly.
//
//     node proxies.mjs --weir PATH --io uring|epoll [--seed N] [--only nginx|haproxy]
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { chance, hasCommand, leaveOut, options, portToKeep, run, Server, skip, temporaryDirectory, test, until, within }
    from '../end_to_end/support.mjs';
import { Peer } from '../end_to_end/wire.mjs';
import { at, count, countAs, Follower, sized, sum } from './rig.mjs';

process.env.PATH += ':/usr/sbin:/sbin';
const PROXIES = {
    nginx: { template: 'nginx.conf', words: file => ['nginx', '-e', 'stderr', '-c', file] },
    haproxy: { template: 'haproxy.cfg', words: file => ['haproxy', '-db', '-q', '-f', file] },
};
const installed = Object.keys(PROXIES).filter(hasCommand);
for (const name of Object.keys(PROXIES).filter(each => !installed.includes(each)))
    test(`behind ${name}`, () => leaveOut(`${name} is not installed`));
if (installed.length === 0) skip('neither nginx nor haproxy is installed');

const ROUNDS = sized(8, 3);
const SESSION = 'proxied';
const directory = temporaryDirectory();

countAs('proxies', 'unbuffered events', 'shared requests', 'aborts', 'cuts', 'proxy restarts', 'server kills',
    'exact resumes', 'epoch notices', 'deliveries');

// ---- A proxy ------------------------------------------------------------------------------------------------------

const fronts = new Set();

/** A proxy that listens on a Unix socket, before a server on a port that stays. */
class Front {
    static async start(name, port) {
        const front = new Front();
        const { template, words } = PROXIES[name];
        front.socket = path.join(directory, `${name}-${port}.sock`);
        const file = path.join(directory, `${name}-${port}.conf`);
        const text = fs.readFileSync(new URL(template, import.meta.url), 'utf8');
        fs.writeFileSync(file, text.replaceAll('@PORT@', port).replaceAll('@SOCKET@', front.socket)
            .replaceAll('@DIRECTORY@', directory));
        front.words = words(file);
        await front.run();
        return front;
    }

    async run() {
        const [command, ...words] = this.words;
        fs.rmSync(this.socket, { force: true });
        this.errors = '';
        this.child = spawn(command, words, { stdio: ['ignore', 'ignore', 'pipe'] });
        this.child.stderr.on('data', text => (this.errors += text));
        this.ended = new Promise(resolve => this.child.on('close', resolve));
        fronts.add(this);
        await until('the proxy to listen', async () => {
            assert.equal(this.child.exitCode, null, `the proxy did not start: ${this.errors}`);
            try {
                (await this.connect()).destroy();
                return true;
            } catch {
                return false;
            }
        });
    }

    connect(settings) {
        return Peer.connect({ path: this.socket, ...settings });
    }

    async stop(signal = 'SIGTERM') {
        this.child.kill(signal);
        await within('the proxy to end', this.ended);
        fronts.delete(this);
    }
}

process.on('exit', () => {
    for (const front of fronts) front.child.kill('SIGKILL');
});

/** Runs a body with a server and a proxy before it, and ends the proxy whatever happens. */
function behind(name, sentence, extra, body) {
    test(`${name}: ${sentence}`, async () => {
        const port = await portToKeep();
        const start = () => Server.start(['--retry', '1', ...extra], { listen: `127.0.0.1:${port}` });
        const server = await start();
        const front = await Front.start(name, port);
        try {
            await body({ server, front, start });
        } finally {
            await front.stop('SIGKILL');
        }
    });
}

/** What a server would do, done through its proxy. */
async function ask(peer, method, target, body = '') {
    peer.write(`${method} ${target} HTTP/1.1\r\nHost: weir.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    return peer.response();
}

async function openFollowers(server, front, number) {
    const { epoch } = (await server.request('PUT', `/sessions/${SESSION}`)).json;
    const truth = new Map();
    const followers = Array.from({ length: number },
        () => new Follower(front, SESSION, { truth, lastId: `${epoch}.0` }).start());
    await until('the streams', () => followers.every(each => each.check() ?? each.stream));
    return followers;
}

async function have(followers, id) {
    await until(`all to have ${id}`, () => followers.every(each => each.check() ?? each.lastId === id));
}

async function close(followers) {
    for (const each of followers) await each.stop();
    count('deliveries', sum(followers, each => each.ledger.received));
    count('exact resumes', sum(followers, each => each.resumes.event));
    count('epoch notices', sum(followers, each => each.resumes.epoch));
}

let written = 0;
const lines = number => Array.from({ length: number }, () => `line ${++written}`);

// ---- What must hold behind each -----------------------------------------------------------------------------------

for (const name of installed) {
    behind(name, 'each event passes before the next one is published (N14)', [], async ({ server, front }) => {
        for (const accept of ['text/event-stream', 'application/x-ndjson']) {
            const follower = new Follower(front, SESSION, { accept }).start();
            await until('the stream', () => follower.check() ?? follower.stream);
            assert.match(follower.stream.head.headers['cache-control'], /no-cache|no-store/);
            for (let i = 0; i < 10 * ROUNDS; i++) await have([follower], await server.publish(SESSION, `${i}`));
            count('unbuffered events', 10 * ROUNDS);
            await follower.stop();
        }
    });

    behind(name, 'connections to the server are shared, and carry nothing from one user to the next (N15)', [],
        async ({ server, front }) => {
            const users = await Promise.all(Array.from({ length: 8 }, () => front.connect()));
            const before = await server.metric('connections_accepted_total');
            await Promise.all(users.map(async (peer, user) => {
                for (let i = 1; i <= 10 * ROUNDS; i++) {
                    const published = await ask(peer, 'POST', `/sessions/user-${user}/events`, `${user}:${i}`);
                    assert.equal(published.status, 201, published.text);
                    const { json } = await ask(peer, 'GET', `/sessions/user-${user}`);
                    assert.deepEqual([json.name, json.published], [`user-${user}`, i]);
                    assert.equal(json.newest, published.json.id);
                    count('shared requests', 2);
                }
            }));
            const used = (await server.metric('connections_accepted_total')) - before - 1;
            assert.ok(used <= 2 * users.length, `${used} connections for ${users.length} users`);
            for (const peer of users) peer.destroy();
        });

    behind(name, 'a client that goes is noticed, and its connection is not given to another', [],
        async ({ server, front }) => {
            for (let round = 0; round < ROUNDS; round++) {
                const followers = await openFollowers(server, front, 10);
                assert.equal(await server.metric('streams'), 10);
                for (const each of followers) each.cut();
                for (const each of followers) each.stopped = true;
                await until('the server to notice', async () => (await server.metric('streams')) === 0);
                count('aborts', followers.length);
                await close(followers);
                const peer = await front.connect();
                assert.equal((await ask(peer, 'GET', '/health')).status, 200);
                peer.destroy();
            }
        });

    behind(name, 'cut at either side of the proxy, or with it, all resume exactly (N08, N12)', ['--replay', '100000'],
        async ({ server, front }) => {
            const random = chance(options.seed);
            const followers = await openFollowers(server, front, 12);
            for (let round = 0; round < 2 * ROUNDS; round++) {
                const publishing = server.publishLines(SESSION, lines(1 + random.below(300)));
                for (let turns = random.below(6); turns > 0; turns--) await new Promise(setImmediate);
                if (round % 4 === 3) {
                    await front.stop(round % 8 === 3 ? 'SIGKILL' : 'SIGTERM');
                    await front.run();
                    count('proxy restarts');
                } else {
                    for (const each of followers) if (random.below(2)) each.cut();
                    count('cuts');
                }
                await have(followers, (await publishing).last);
            }
            assert.equal(sum(followers, each => each.ledger.gaps), 0);
            assert.ok(sum(followers, each => each.resumes.event) > 0, 'nobody was cut');
            await close(followers);
        });

    behind(name, 'the server killed behind it: no stream looks complete, and every client is told (L03)', [],
        async ({ server: first, front, start }) => {
            let server = first;
            const followers = await openFollowers(server, front, 12);
            for (let round = 0; round < ROUNDS; round++) {
                await have(followers, (await server.publishLines(SESSION, lines(5))).last);
                const streams = followers.map(each => each.stream);
                await server.kill();
                count('server kills');
                for (const stream of streams) await stream.peer.closed;
                assert.ok(streams.every(stream => !stream.clean), 'a cut stream pretends to be complete');
                server = await start();
            }
            await have(followers, (await server.publishLines(SESSION, lines(5))).last);
            for (const each of followers) assert.equal(each.resumes.epoch + (each.ledger.first === 'epoch'), ROUNDS);
            await close(followers);
        });

    behind(name, 'a drain reaches the clients: every stream ends with its last chunk (L01)', ['--drain', '200'],
        async ({ server, front }) => {
            const followers = await openFollowers(server, front, 12);
            const { last } = await server.publishLines(SESSION, lines(100));
            const streams = followers.map(each => each.stream);
            for (const each of followers) each.stopped = true;
            server.signal('SIGTERM');
            assert.equal(await server.exit(), 0);
            for (const stream of streams) await stream.peer.closed;
            assert.ok(streams.every(stream => stream.clean), 'a stream was cut');
            assert.ok(streams.every(stream => stream.lastId === last), 'accepted, and not delivered');
            await close(followers);
        });
}

await run();
