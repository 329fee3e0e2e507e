// Where io_uring is refused, as container runtimes do, the server runs on epoll and says so in one line; asked for
// io_uring alone it says why it cannot, and does not start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hasCommand, options, run, Server, skip, test } from './support.mjs';

if (!hasCommand('strace')) skip('strace is not installed, and nothing else here refuses io_uring');
const probe = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], { encoding: 'utf8' });
if (probe.status !== 0) skip(`strace cannot trace here: ${probe.stderr}`);

process.env.ASAN_OPTIONS = 'detect_leaks=0'; // the leak checker and strace cannot both trace

// -D: the server, not strace, is the process that was started, and gets the signals meant for it.
const refusing = error => ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=io_uring_setup',
    '-e', `inject=io_uring_setup:error=${error}`];

async function expectService(server) {
    const stream = await server.stream('fallback');
    await server.publish('fallback', 'over epoll');
    assert.deepEqual(await stream.take(1), ['over epoll']);
    stream.destroy();
}

const REFUSALS = { EPERM: 'Operation not permitted', ENOSYS: 'Function not implemented',
    ENOMEM: 'Cannot allocate memory' };
for (const [error, words] of Object.entries(REFUSALS))
    test(`io_uring_setup refused with ${error}: auto runs on epoll and says so in one line (U01)`, async () => {
        const server = await Server.start(['--threads', '2'], { wrapper: refusing(error), io: 'auto' });
        const lines = (server.output + server.errors).split('\n').filter(line => /epoll|io_uring/.test(line));
        assert.equal(lines.length, 1, server.output + server.errors);
        assert.match(lines[0], new RegExp(`^backend: epoll.*io_uring_setup.*(${error}|${words})`));
        await expectService(server);
    });

test('io_uring asked for and refused: one clear line, and an exit code that is not 0', () => {
    const [strace, ...words] = refusing('EPERM');
    const command = [...words, options.weir, 'serve', '--listen', '127.0.0.1:0', '--io', 'uring'];
    const result = spawnSync(strace, command, { encoding: 'utf8', timeout: 60000 });
    assert.notEqual(result.status, 0);
    assert.notEqual(result.status, null, 'it does not end');
    assert.equal(result.stdout, '', 'it says that it listens');
    assert.match(result.stderr, /^weir serve: .*io_uring.*\n$/);
    assert.match(result.stderr, /EPERM|not permitted/);
});

test('auto takes io_uring where that works', async () => {
    const server = await Server.start([], { io: 'auto' });
    assert.match(server.output, options.io === 'uring' ? /^backend: io_uring: .+$/m : /^backend: (io_uring|epoll): .+$/m);
    await expectService(server);
});

test('an address that is taken, or is none, is a clear message and an exit code (L08)', async () => {
    const server = await Server.start();
    const serve = listen => spawnSync(options.weir, ['serve', '--io', options.io, '--listen', listen],
        { encoding: 'utf8', timeout: 60000 });
    const taken = serve(`127.0.0.1:${server.port}`);
    assert.notEqual(taken.status, 0);
    assert.match(taken.stderr, new RegExp(`^weir serve: .*127.0.0.1:${server.port}.*in use`, 'i'));
    for (const listen of ['127.0.0.1', '127.0.0.1:65536', 'nowhere.invalid:80', '192.0.2.1:0']) {
        const result = serve(listen);
        assert.ok(result.status > 0, `${listen}: ${result.status}`);
        assert.match(result.stderr, /^weir serve: .+\n/, listen);
        assert.equal(result.stdout, '');
    }
});

await run();
