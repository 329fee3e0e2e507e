// The page at / in headless Chromium: events arrive, the button cuts, and what was published meanwhile is replayed
// with nothing missing and nothing twice. And the browser's own EventSource, through a network that cuts.
//
// With --screenshot FILE the page is pictured at the end of the first test.
import assert from 'node:assert/strict';
import { Browser } from './browser.mjs';
import { CuttingProxy } from './cutting_proxy.mjs';
import { chance, options, parseId, run, say, Server, test, until } from './support.mjs';

const browser = await Browser.start();
say(browser.version);

const state = page => page.evaluate('({ ...window.weirState })');

async function untilState(page, what, condition) {
    return until(what, async () => {
        const now = await state(page);
        return condition(now) ? now : null;
    });
}

const text = (page, selector) => page.evaluate(`document.querySelector(${JSON.stringify(selector)}).textContent`);

test('events arrive, the button cuts, and the stream resumes with nothing missing or repeated', async () => {
    const server = await Server.start(['--retry', '50']);
    const { first } = await server.publishLines('shown', ['before one', 'before two']);
    const page = await browser.open(`http://${server.address}/?session=shown`);
    await untilState(page, 'what was kept', now => now.connected && now.received === 2);
    await server.publish('shown', '{"live": true}', { event: 'tick' });
    const live = await untilState(page, 'a live event', now => now.received === 3);
    assert.equal(live.lastId, `${parseId(first).epoch}.3`);

    await page.click('#cut');
    await untilState(page, 'the cut', now => !now.connected);
    await until('the server to see it', async () => (await server.metric('streams')) === 0);
    await server.publishLines('shown', Array.from({ length: 20 }, (_, i) => `while away ${i + 1}`));
    const back = await untilState(page, 'the replay', now => now.received === 23);
    assert.deepEqual([back.missing, back.repeated, back.gaps, back.resumes, back.replayed], [0, 0, 0, 1, 20]);
    await server.publish('shown', 'after');
    const after = await untilState(page, 'the next live event', now => now.received === 24);
    assert.deepEqual([after.missing, after.repeated, after.replayed], [0, 0, 20]);
    await until('it to be drawn', async () => (await text(page, '#received')) === '24');
    assert.match(await text(page, '#log'), /20 events replayed, 0 missing, 0 repeated/);
    assert.match(await text(page, '#status'), /live on shown/);
    if (options.screenshot) await page.screenshot(options.screenshot);
});

test('what is lost for good is told as a gap and not counted as missing', async () => {
    const server = await Server.start(['--retry', '50', '--replay', '5']);
    await server.publish('gap', 'one');
    const page = await browser.open(`http://${server.address}/?session=gap`);
    await untilState(page, 'the first event', now => now.received === 1);
    await page.click('#cut');
    await until('the server to see it', async () => (await server.metric('streams')) === 0);
    await server.publishLines('gap', Array.from({ length: 12 }, (_, i) => `${i + 2}`));
    const back = await untilState(page, 'what is kept', now => now.received === 6);
    assert.deepEqual([back.missing, back.repeated, back.gaps], [0, 0, 1]);
    await until('it to be drawn', async () => /gap: .*reason: evicted/.test(await text(page, '#log')));
    const [gap] = /gap: [^:]+: evicted/.exec(await text(page, '#log'));
    for (const number of ['2', '8', '7']) assert.match(gap, new RegExp(`\\b${number}\\b`));
});

test('the form publishes, and an event is text: nothing in it becomes part of the page', async () => {
    const server = await Server.start();
    const page = await browser.open(`http://${server.address}/?session=form`);
    await untilState(page, 'the stream', now => now.connected);
    const line = '<img src=x onerror="window.forged = true"><b>bold</b> & é😀';
    await page.type('#line', line);
    await untilState(page, 'the event', now => now.received === 1);
    await until('it to be drawn', async () => (await text(page, '#log')).includes(line));
    assert.equal(await page.evaluate('document.querySelectorAll("#log img, #log b").length'), 0);
    assert.equal(await page.evaluate('window.forged'), undefined);
    assert.equal((await server.facts('form')).published, 1);
});

test('the end of a session is told, and the page does not come back to it', async () => {
    const server = await Server.start();
    await server.publish('over', 'x');
    const page = await browser.open(`http://${server.address}/?session=over`);
    await untilState(page, 'the event', now => now.received === 1);
    await server.request('DELETE', '/sessions/over');
    await untilState(page, 'the end', now => now.ended);
    await until('it to be drawn', async () => /the stream has ended: terminated/.test(await text(page, '#log')));
    assert.equal(await server.metric('streams'), 0);
});

test('the demo shows this machine', async () => {
    const server = await Server.start(['--demo']);
    const page = await browser.open(`http://${server.address}/`);
    await untilState(page, 'figures', now => now.received >= 3);
    await until('them to be drawn', async () => /CPU .* MiB/.test(await text(page, '#figures')));
});

test("the browser's own EventSource comes back through cuts and has every event once and in order", async () => {
    const server = await Server.start(['--retry', '10', '--replay', '100000']);
    const random = chance(options.seed);
    const proxy = await CuttingProxy.start(server.port, () => 5000 + random.below(20000));
    await server.request('PUT', '/sessions/native');
    const page = await browser.open(`http://127.0.0.1:${proxy.port}/health`);
    await page.evaluate(`(() => {
        window.heard = [];
        window.source = new EventSource('/sessions/native/events');
        source.onmessage = event => heard.push(event.data + ' ' + event.lastEventId);
        source.addEventListener('gap', event => heard.push('gap ' + event.data));
    })()`);
    const total = 4000;
    for (let number = 1; number <= total; number += 100)
        await server.publishLines('native', Array.from({ length: 100 }, (_, i) => `${number + i}`));
    await until('all events', () => page.evaluate(`heard.length >= ${total}`));
    const heard = await page.evaluate('heard');
    const { epoch } = (await server.facts('native'));
    assert.deepEqual(heard, Array.from({ length: total }, (_, i) => `${i + 1} ${epoch}.${i + 1}`));
    assert.ok(proxy.cuts >= 3, `only ${proxy.cuts} cuts`);
    await page.evaluate('source.close()');
    proxy.close();
});

await run(() => browser.close());
