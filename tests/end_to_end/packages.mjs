// The npm clients under test: from node_modules here, installed on the spot where that is missing. A machine that has
// neither them nor the registry skips what needs them.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { skip } from './support.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

function install() {
    const words = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=1', '--loglevel=error'];
    const result = spawnSync('npm', words, { cwd: here, encoding: 'utf8', timeout: 120000 });
    if (result.status === 0) return;
    skip(`the npm client eventsource is not installed and cannot be had: ${result.stderr || result.error}`);
}

/** The class EventSource of the npm package `eventsource`, at the version that package-lock.json names. */
export async function loadEventSource() {
    if (!fs.existsSync(path.join(here, 'node_modules', 'eventsource', 'package.json'))) install();
    return (await import('eventsource')).EventSource;
}
