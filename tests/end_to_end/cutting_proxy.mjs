// A TCP proxy that cuts connections behind so many bytes of what the server sends, or refuses new ones on demand:
// what networks and proxies do to clients that cannot be told to fail.
import net from 'node:net';

export class CuttingProxy {
    /** `draw` gives, for each connection, after how many bytes it is cut. */
    static start(target, draw) {
        const proxy = new CuttingProxy();
        Object.assign(proxy, { target, draw, cuts: 0, refusing: false, pairs: new Set() });
        proxy.server = net.createServer(client => proxy.join(client));
        return new Promise(resolve => {
            proxy.server.listen(0, '127.0.0.1', () => {
                proxy.port = proxy.server.address().port;
                resolve(proxy);
            });
        });
    }

    join(client) {
        if (this.refusing) {
            client.resetAndDestroy();
            return;
        }
        const server = net.connect(this.target, '127.0.0.1');
        const pair = { client, server };
        let left = this.draw();
        this.pairs.add(pair);
        const end = () => this.cut(pair);
        for (const socket of [client, server]) socket.on('error', end).on('close', end);
        client.on('data', bytes => server.write(bytes));
        server.on('data', bytes => {
            client.write(bytes.subarray(0, left), () => {
                if (left <= 0 && this.pairs.has(pair)) {
                    this.cuts++;
                    end();
                }
            });
            left -= Math.min(left, bytes.length);
        });
    }

    cut(pair) {
        if (!this.pairs.delete(pair)) return;
        pair.client.destroy();
        pair.server.destroy();
    }

    /** Cuts all there are and refuses those to come. */
    refuse() {
        this.refusing = true;
        for (const pair of [...this.pairs]) this.cut(pair);
    }

    allow() {
        this.refusing = false;
    }

    close() {
        this.refuse();
        this.server.close();
    }
}
