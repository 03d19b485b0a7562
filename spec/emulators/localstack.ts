/**
 * LocalStack, with AWS KMS alone and without a container, on loopback: what moto lacks, which is multi-Region keys that
 * decrypt, RSA keys that decrypt (OAEP with SHA-256) and DeriveSharedSecret. Installed into the checkout's cache folder.
 */
import { dirname, join } from 'node:path'
import { type Emulator, startEmulator } from './emulator.ts'

/**
 * Its server listens everywhere and wants a certificate; here it listens where it is told to, without TLS. It passes bytes
 * for the name of a UUID, which Python takes from 3.12 on.
 */
const PROGRAM = `
import hashlib, uuid
if sys.version_info < (3, 12):
    def uuid5(namespace, name):
        digest = hashlib.sha1(namespace.bytes + (name.encode() if isinstance(name, str) else name)).digest()
        return uuid.UUID(bytes=digest[:16], version=5)
    uuid.uuid5 = uuid5

import localstack.utils.ssl
from localstack.runtime.main import main
from localstack.runtime.server.twisted import TwistedRuntimeServer
from rolo.serving.twisted import TwistedGateway
from twisted.internet import endpoints, reactor

def register(server, gateway, listen, ssl_creds=None):
    for at in listen:
        endpoints.TCP4ServerEndpoint(reactor, at.port, interface=at.host).listen(TwistedGateway(gateway))

TwistedRuntimeServer.register = register
localstack.utils.ssl.create_ssl_cert = lambda **_: (None, None, None)
main()
`

let shared: Promise<Emulator> | undefined

/**
 * The one server of all specs of this process. It does not keep the process alive, and ends with it.
 *
 * @throws UnavailableError where there is no Python or the packages can't be installed.
 */
export function sharedLocalStack(): Promise<Emulator> {
  shared ??= startLocalStack()
  return shared
}

/**
 * Starts a server on a free port; the first time, installs it.
 *
 * @throws UnavailableError where there is no Python or the packages can't be installed.
 */
export async function startLocalStack(): Promise<Emulator> {
  return startEmulator({
    what: 'LocalStack',
    folder: 'localstack',
    requirements: new URL('localstack-requirements.txt', import.meta.url),
    minimumMinor: 11,
    program: PROGRAM,
    settings: (port, python) => {
      const files = join(dirname(python), '..', 'files')
      return {
        env: {
          GATEWAY_LISTEN: `127.0.0.1:${port}`,
          SERVICES: 'kms',
          // No container, no telemetry, no download, no name server, and nothing outside the cache folder.
          ...{ OVERRIDE_IN_DOCKER: '0', DISABLE_EVENTS: '1', SKIP_SSL_CERT_DOWNLOAD: '1', DNS_ADDRESS: '0' },
          ...{ FILESYSTEM_ROOT: files, XDG_CACHE_HOME: files },
        },
      }
    },
    answers: '/_localstack/health',
  })
}
