// The npm client `eventsource` as any program would use it: it connects, receives, comes back and loses nothing.
import assert from 'node:assert/strict';
import { loadEventSource } from './packages.mjs';
import { chance, options, parseId, portToKeep, run, Server, test, until } from './support.mjs';
import { CuttingProxy } from './cutting_proxy.mjs';

const EventSource = await loadEventSource();

/** Opens an EventSource and collects what it gives. */
function listen(server, session, kinds = []) {
    const source = new EventSource(`http://${server.address}/sessions/${session}/events`);
    const heard = { source, events: [], opens: 0, errors: 0 };
    const take = event => heard.events.push({ kind: event.type, data: event.data, id: event.lastEventId });
    source.addEventListener('open', () => heard.opens++);
    source.addEventListener('error', () => heard.errors++);
    for (const kind of ['message', 'gap', 'end', ...kinds]) source.addEventListener(kind, take);
    heard.until = count => until(`${count} events`, () => heard.events.length >= count);
    return heard;
}

test('it receives named and unnamed events with their ids', async () => {
    const server = await Server.start();
    const heard = listen(server, 'es', ['tick']);
    const first = await server.publish('es', 'unnamed');
    const second = await server.publish('es', 'two\nlines', { event: 'tick' });
    const third = await server.publish('es', '');
    await heard.until(3);
    assert.deepEqual(heard.events, [{ kind: 'message', data: 'unnamed', id: first },
        { kind: 'tick', data: 'two\nlines', id: second }, { kind: 'message', data: '', id: third }]);
    heard.source.close();
    await until('the server to notice', async () => (await server.metric('streams')) === 0);
});

test('cut at random places it comes back by itself and has every event once and in order', async () => {
    // A proxy that cuts: the client cannot be told from outside to lose its connection at a byte.
    const server = await Server.start(['--retry', '1', '--replay', '100000']);
    const random = chance(options.seed);
    const proxy = await CuttingProxy.start(server.port, () => 200 + random.below(12000));
    const heard = listen({ address: `127.0.0.1:${proxy.port}` }, 'es');
    const total = 3000;
    for (let number = 1; number <= total; number += 50) {
        const lines = Array.from({ length: 50 }, (_, i) => `${number + i}`);
        await server.publishLines('es', lines);
        await until('it to follow', () => heard.events.length > number - 500);
    }
    await heard.until(total);
    assert.deepEqual(heard.events.map(event => event.data), Array.from({ length: total }, (_, i) => `${i + 1}`));
    assert.ok(heard.events.every((event, i) => parseId(event.id).sequence === i + 1));
    assert.ok(proxy.cuts >= 5, `only ${proxy.cuts} cuts`);
    heard.source.close();
    proxy.close();
});

test('what it missed for good comes as one exact gap, and then what is kept', async () => {
    const server = await Server.start(['--replay', '2', '--retry', '1']);
    const proxy = await CuttingProxy.start(server.port, () => Infinity);
    const heard = listen({ address: `127.0.0.1:${proxy.port}` }, 'gap');
    const id = await server.publish('gap', 'seen');
    await heard.until(1);
    proxy.refuse();
    await server.publishLines('gap', ['lost', 'kept', 'kept too']);
    proxy.allow();
    await heard.until(4);
    const gap = heard.events[1];
    assert.equal(gap.kind, 'gap');
    const { epoch } = parseId(id);
    assert.deepEqual(JSON.parse(gap.data), { first: 2, last: 2, lost: 1, reason: 'evicted', epoch });
    assert.notEqual(gap.id, heard.events[2].id); // this client shows no id on an event that carries none
    assert.deepEqual(heard.events.slice(2).map(event => event.data), ['kept', 'kept too']);
    heard.source.close();
    proxy.close();
});

test('a drain sends it away with a time to wait, and it finds the next server (L01)', async () => {
    const port = await portToKeep();
    const first = await Server.start(['--drain', '100', '--retry', '100'], { listen: `127.0.0.1:${port}` });
    const heard = listen(first, 'drain');
    await first.publish('drain', 'one');
    await heard.until(1);
    first.signal('SIGTERM');
    assert.equal(await first.exit(), 0);
    const second = await Server.start([], { listen: `127.0.0.1:${port}` });
    await until('it to come back', () => heard.opens === 2);
    await second.publish('drain', 'two');
    await heard.until(3);
    assert.equal(heard.events[1].kind, 'gap');
    assert.equal(JSON.parse(heard.events[1].data).reason, 'epoch');
    assert.equal(heard.events[2].data, 'two');
    heard.source.close();
});

test('the end of a session is an event, and the client decides what to do with it', async () => {
    const server = await Server.start();
    const heard = listen(server, 'end');
    await server.publish('end', 'x');
    await heard.until(1);
    heard.source.addEventListener('end', () => heard.source.close());
    await server.request('DELETE', '/sessions/end');
    await heard.until(2);
    assert.deepEqual(JSON.parse(heard.events[1].data), { reason: 'terminated' });
    assert.equal(heard.source.readyState, EventSource.CLOSED);
});

await run();
