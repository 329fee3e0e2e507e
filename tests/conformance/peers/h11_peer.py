"""Reads requests as h11 does, the parser of several Python servers: see peers/README.md for what goes in and out."""
import sys

try:
    import h11
except ImportError:
    print('absent: Debian has it as python3-h11')
    sys.exit()


def encode(request, body):
    return b':'.join(part.hex().encode() for part in (request.method, request.target, body)).decode()


def read(data):
    """The requests found, and what becomes of the rest."""
    found = []
    while True:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(data)
        connection.receive_data(b'')
        request, body = None, b''
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                # h11 has no error of its own for a request that stops half-way.
                cut = 'peer unexpectedly closed' in str(error) or 'without sending complete' in str(error)
                return found, 'waits' if cut else 'refuses'
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed) or event in (h11.NEED_DATA, h11.PAUSED):
                return found, 'done'
        found.append(encode(request, body))
        if connection.their_state is h11.MUST_CLOSE or connection.their_state is h11.CLOSED:
            return found, 'closes'
        data = connection.trailing_data[0]


def main():
    print('h11', h11.__version__, flush=True)
    for line in sys.stdin:
        found, end = read(bytes.fromhex(line.strip()))
        print(' '.join([end] + found), flush=True)


main()
