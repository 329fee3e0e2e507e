// Want: descriptors, threads and lockable memory that are not to be had, and a log that cannot be
// written. A server starts or says in one line why not; one that runs goes on, and recovers by itself.
//
//     node wants.mjs --weir PATH --io uring|epoll       WEIR_TEST_SCALE: more rounds in and out of want
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { hasCommand, isInstrumented, leaveOut, options, run, say, Server, skip, temporaryDirectory, test, until }
    from '../end_to_end/support.mjs';
import { at, count, countAs, Follower, sized, sum } from './rig.mjs';

// Users without any process, so that limits per user count ours alone: others than those of a test beside this one, and
// another for each start, as the kernel gives back the memory of a ring some time after its process is gone.
let nobody = 20000 + process.pid % 400 * 100;
const ROUNDS = sized(10, 3);
const EVENTS_PER_ROUND = 20;

if (!hasCommand('prlimit')) skip('prlimit is not installed');
countAs('wants', 'starts', 'refusals', 'rounds of want', 'deliveries in want', 'accept errors');

const GET = target => `GET ${target} HTTP/1.1\r\nHost: weir.test\r\n\r\n`;

// A copy that everybody can reach: where the program stands may be closed to others.
const directory = temporaryDirectory();
fs.chmodSync(directory, 0o755);
const reachable = path.join(directory, 'weir');
fs.copyFileSync(options.weir, reachable);

// ---- At the start -------------------------------------------------------------------------------------------------

/** Starts under a limit: the server, or null when it said, in one line, what it is in want of. */
async function startsUnder(wrapper, complaint, extra, io) {
    let server;
    try {
        server = await Server.start(['--threads', '2', ...extra], { wrapper, io, program: reachable });
    } catch (error) {
        assert.match(error.message, /code [12], signal null\nweir serve: [^\n]+\n$/, `under ${wrapper.join(' ')}`);
        assert.match(error.message, complaint, `under ${wrapper.join(' ')}`);
        count('refusals');
        return null;
    }
    count('starts');
    return server;
}

async function expectService(server) {
    const stream = await server.stream('want');
    await server.publish('want', 'in want');
    assert.deepEqual(await stream.take(1), ['in want']);
    stream.destroy();
}

/** The same where one connection is all that there may be. */
async function expectSomeService(server) {
    const peer = await server.connect();
    peer.write('POST /sessions/want/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx');
    assert.equal((await peer.response()).status, 201);
    peer.write(GET('/sessions/want'));
    assert.equal((await peer.response()).json.published, 1);
    peer.destroy();
}

/** To run as somebody without privileges, and another one each time. */
function unprivileged() {
    if (process.getuid() !== 0) leaveOut('only root can become a user without processes');
    nobody++;
    const words = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
    if (spawnSync(words[0], [...words.slice(1), 'env', reachable, '--help']).status === 0) return words;
    return leaveOut('another user cannot run the server here');
}

test('with any number of descriptors it starts, or says that they are too few (R01, L05)', async () => {
    if (isInstrumented()) return say('not under a sanitizer, which opens files of its own and fails without them');
    const outcomes = [];
    for (let files = 4; files <= 24; files++) {
        const server = await startsUnder(['prlimit', `--nofile=${files}:${files}`], /Too many open files/, []);
        outcomes.push(server !== null);
        if (files > 16) await expectSomeService(server); // below, it may have none left for a client
        if (server) assert.equal(await server.stop(), 0);
    }
    assert.ok(!outcomes[0] && outcomes.at(-1), 'the limit makes no difference');
    assert.equal(outcomes.lastIndexOf(false) + 1, outcomes.indexOf(true), 'more descriptors were not enough');
});

test('where memory cannot be locked, auto takes io_uring or epoll, and always starts (R04, U01)', async () => {
    if (options.io !== 'uring') return say('only with io_uring: epoll locks no memory');
    const taken = new Set();
    for (const kib of [0, 16, 64, 128, 256, 384, 512, 1024, 8192]) {
        const locked = () => [...unprivileged(), 'prlimit', `--memlock=${kib * 1024}:${kib * 1024}`];
        const server = await startsUnder(locked(), /never/, ['--threads', '4'], 'auto');
        assert.ok(server, `does not start with ${kib} KiB`);
        const backend = /^backend: (\w+): (.*)$/m.exec(server.output);
        taken.add(backend[1]);
        if (backend[1] === 'epoll') assert.match(backend[2], /Cannot allocate memory/);
        await expectService(server);
        await server.stop();
        if (backend[1] !== 'epoll') continue;
        const demanding = await startsUnder(locked(), /Cannot allocate memory/, ['--threads', '4'], 'uring');
        assert.equal(demanding, null, 'io_uring alone works where auto did not take it');
    }
    say(`taken: ${[...taken].join(', ')}`);
    assert.ok(taken.has('io_uring'));
});

test('threads that cannot be made refuse the start; once made, no more are needed (R02)', async () => {
    if (isInstrumented()) return say('not under a sanitizer, which has threads of its own');
    for (let tasks = 1; tasks <= 4; tasks++) {
        const limited = [...unprivileged(), 'prlimit', `--nproc=${tasks}:${tasks}`];
        const few = await startsUnder(limited, new RegExp(`cannot start reactor ${tasks - 1}`), ['--threads', '4']);
        assert.equal(few, null, `4 threads where ${tasks - 1} are allowed`);
    }
    const server = await startsUnder([...unprivileged(), 'prlimit', '--nproc=5:5'], /never/, ['--threads', '4']);
    spawnSync('prlimit', ['--pid', `${server.pid}`, '--nproc=0:0']);
    await expectService(server);
    await server.stop();
});

// ---- While it runs ------------------------------------------------------------------------------------------------

function allowFiles(server, limit) {
    const set = spawnSync('prlimit', ['--pid', `${server.pid}`, `--nofile=${limit}:`], { encoding: 'utf8' });
    assert.equal(set.status, 0, set.stderr);
}

/** A connection from before the want: whoever asks during it must not need a descriptor. */
async function openAsker(server) {
    const peer = await server.connect();
    const ask = async request => {
        peer.write(request);
        return peer.response();
    };
    return {
        async publish(data) {
            const answer = await ask(`POST /sessions/want/events HTTP/1.1\r\nHost: a\r\n` +
                `Content-Length: ${data.length}\r\n\r\n${data}`);
            assert.equal(answer.status, 201);
        },
        async metric(name) {
            const { text } = await ask(GET('/metrics'));
            return Number(new RegExp(`^weir_${name} (\\d+)$`, 'm').exec(text)[1]);
        },
        destroy: () => peer.destroy(),
    };
}

/** Once into want and out of it, by clients that go or by a higher limit. Returns the accepts that failed. */
async function sufferOnce(server, asker, followers, byLimit) {
    const before = await asker.metric('accept_errors_total');
    const started = Date.now();
    allowFiles(server, server.descriptors() + 4);
    const crowd = await Promise.all(Array.from({ length: 30 }, () => server.connect()));
    const late = await server.connect(); // as far as the kernel is concerned; nobody can take it yet
    late.write(GET('/ready'));
    await until('an accept to fail', async () => (await asker.metric('accept_errors_total')) > before);
    const target = followers[0].ledger.received + EVENTS_PER_ROUND;
    for (let i = 0; i < EVENTS_PER_ROUND; i++) await asker.publish(`in want ${i}`);
    await until('the streams to go on', () => followers.every(each => each.ledger.received === target));
    count('deliveries in want', EVENTS_PER_ROUND * followers.length);
    const errors = (await asker.metric('accept_errors_total')) - before;
    // Each of the two reactors tries again after a tenth of a second, never at once.
    assert.ok(errors <= 2 * ((Date.now() - started) / 100 + 2), `${errors} accepts failed: it spins`);
    if (byLimit) allowFiles(server, 4096);
    else for (const peer of crowd) peer.destroy();
    assert.equal((await late.response()).status, 200, 'the one that waited is not served');
    for (const peer of [late, ...crowd]) peer.destroy();
    return errors;
}

test(`${ROUNDS} times out of descriptors: accepting pauses, streams go on, it recovers by itself (R01, U20)`,
async () => {
    const server = await Server.start(['--threads', '2']);
    const empty = server.descriptors();
    await server.request('PUT', '/sessions/want');
    const followers = Array.from({ length: 5 }, () => new Follower(at(server), 'want').start());
    const asker = await openAsker(server);
    await until('the streams', async () => (await asker.metric('streams')) === followers.length);
    const baseline = empty + followers.length + 1;
    for (let round = 0; round < ROUNDS; round++) {
        count('accept errors', await sufferOnce(server, asker, followers, round % 2 === 1));
        count('rounds of want');
        await until('the descriptors to be back', () => server.descriptors() === baseline);
    }
    assert.equal(sum(followers, each => each.opened), followers.length, 'a stream was lost');
    assert.equal(sum(followers, each => each.ledger.gaps), 0);
    for (const each of followers) await each.stop();
    asker.destroy();
    const lines = server.errors.split('\n').filter(line => line !== '');
    for (const line of lines) assert.match(line, /cannot accept: Too many open files|further lines were left out/);
});

test('a log that cannot be written stops nothing (R06)', async () => {
    const wrapper = ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh'];
    const server = await Server.start(['--threads', '1', '--drain', '1', '--max-connections', '4'], { wrapper });
    const crowd = await Promise.all(Array.from({ length: 20 }, () => server.connect())); // each one over is a line
    await until('some to be turned away', () => crowd.some(peer => peer.finished));
    for (const peer of crowd) peer.destroy();
    await until('the crowd to be gone', async () => {
        try {
            return (await server.metric('connections')) === 1;
        } catch {
            return false; // turned away itself
        }
    });
    assert.ok((await server.metric('connections_over_limit_total')) > 0);
    await expectService(server);
    server.signal('SIGTERM');
    assert.equal(await server.exit(), 0);
});

await run();
