// Chromium, headless, driven over its debugging pipe: messages of JSON ended by NUL on descriptors 3 and 4. No
// network port, no further package.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { hasCommand, skip, temporaryDirectory, until, within } from './support.mjs';

const FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--no-default-browser-check', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-extensions', '--disable-dev-shm-usage', '--disable-domain-reliability', '--metrics-recording-only',
    '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1', '--remote-debugging-pipe'];

export class Browser {
    static async start() {
        const command = ['chromium', 'chromium-browser', 'google-chrome'].find(hasCommand);
        if (!command) skip('Chromium is not installed');
        const home = temporaryDirectory();
        const browser = new Browser();
        browser.child = spawn(command, [...FLAGS, `--user-data-dir=${path.join(home, 'profile')}`, 'about:blank'], {
            stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
            env: { ...process.env, HOME: home },
            detached: true, // a group of its own, so that its helpers end with it
        });
        Object.assign(browser, { serial: 0, waiting: new Map(), errors: '', rest: '' });
        browser.ended = new Promise(resolve => browser.child.on('close', resolve));
        browser.child.stderr.on('data', text => (browser.errors = (browser.errors + text).slice(-4000)));
        browser.child.stdio[4].on('data', bytes => browser.take(String(bytes)));
        browser.child.stdio[3].on('error', () => {});
        process.on('exit', () => browser.killGroup());
        browser.version = (await browser.send('Browser.getVersion')).product;
        return browser;
    }

    take(text) {
        const messages = (this.rest + text).split('\0');
        this.rest = messages.pop();
        for (const message of messages.map(each => JSON.parse(each))) {
            const answer = this.waiting.get(message.id);
            if (!answer) continue;
            this.waiting.delete(message.id);
            if (message.error) answer.reject(new Error(`${answer.method}: ${message.error.message}`));
            else answer.resolve(message.result);
        }
    }

    send(method, params = {}, sessionId = undefined) {
        const id = ++this.serial;
        const answer = new Promise((resolve, reject) => this.waiting.set(id, { method, resolve, reject }));
        this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
        const gone = this.ended.then(() => {
            throw new Error(`Chromium has ended: ${this.errors}`);
        });
        return within(`Chromium to answer ${method}`, Promise.race([answer, gone]));
    }

    async open(url) {
        // A window for each page: what is hidden behind another tab is not drawn.
        const window = { url, newWindow: true, width: 1000, height: 900 };
        const { targetId } = await this.send('Target.createTarget', window);
        const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
        const page = new Page(this, sessionId);
        const origin = JSON.stringify(new URL(url).origin);
        const loaded = `location.origin === ${origin} && document.readyState === "complete"`;
        await until(`${url} to be loaded`, () => page.evaluate(loaded));
        return page;
    }

    killGroup() {
        try {
            process.kill(-this.child.pid, 'SIGKILL');
        } catch {
            // it has ended already
        }
    }

    async close() {
        this.killGroup();
        await this.ended;
    }
}

class Page {
    constructor(browser, sessionId) {
        Object.assign(this, { browser, sessionId });
    }

    send(method, params) {
        return this.browser.send(method, params, this.sessionId);
    }

    /** The value of an expression in the page; promises are awaited. */
    async evaluate(expression) {
        const answer = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
        if (answer.exceptionDetails)
            throw new Error(`in the page: ${answer.exceptionDetails.exception?.description ?? expression}`);
        return answer.result.value;
    }

    /** Types text into a field and presses Enter, as a person would. */
    async type(selector, text) {
        await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).select()`);
        await this.send('Input.insertText', { text });
        for (const type of ['rawKeyDown', 'char', 'keyUp'])
            await this.send('Input.dispatchKeyEvent', { type, key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13,
                text: type === 'char' ? '\r' : undefined });
    }

    /** Clicks in the middle of an element. */
    async click(selector) {
        const { x, y } = await this.evaluate(`(() => {
            const box = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect();
            return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
        })()`);
        for (const type of ['mousePressed', 'mouseReleased'])
            await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    }

    async screenshot(file) {
        const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
        fs.writeFileSync(file, Buffer.from(data, 'base64'));
    }
}
