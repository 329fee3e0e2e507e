"""Reads requests as httptools does, with the C parser that node had before llhttp: see peers/README.md for what goes in
and out."""
import sys

try:
    import httptools
except ImportError:
    print('absent: Debian has it as python3-httptools')
    sys.exit()


class Collector:
    """What the parser tells, request by request."""

    def __init__(self):
        self.found = []
        self.end = None
        self.parser = httptools.HttpRequestParser(self)
        self.midway = False

    def on_message_begin(self):
        self.midway = True
        self.target = self.body = b''

    def on_url(self, piece):
        self.target += piece

    def on_body(self, piece):
        self.body += piece

    def on_message_complete(self):
        parts = (self.parser.get_method(), self.target, self.body)
        self.found.append(b':'.join(part.hex().encode() for part in parts).decode())
        self.midway = False
        if not self.parser.should_keep_alive():
            self.end = 'closes'


def read(data):
    """Byte by byte, so that a request that ends the connection ends the reading where it ends itself."""
    collector = Collector()
    try:
        for at in range(len(data)):
            collector.parser.feed_data(data[at:at + 1])
            if collector.end:
                return collector.found, collector.end
    except httptools.HttpParserUpgrade:
        return collector.found, 'upgrades'
    except httptools.HttpParserError:
        return collector.found, 'refuses'
    return collector.found, 'waits' if collector.midway else 'done'


def main():
    print('httptools', getattr(httptools, '__version__', ''), flush=True)
    for line in sys.stdin:
        found, end = read(bytes.fromhex(line.strip()))
        print(' '.join([end] + found), flush=True)


main()
