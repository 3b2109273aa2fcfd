import type { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import type { ServeOptions } from '../service/serve.ts'
import { actorOf, folderOf } from './context.ts'
import { say } from './output.ts'
import { stopped, tcpOf, tcpOptions } from './tcp.ts'
import { seconds } from './values.ts'
import { type Given, local, type Own, text } from './verb.ts'

const idleExit: Own<number> = {
  about: 'end when nobody called for this long, such as 10m',
  flag: '--idle-exit <duration>',
  read: seconds,
}
const own = {
  engine: text('--engine <url>', 'the database of the ledger, in place of the one in its engine file'),
  idleExit,
  listen: text('--listen <host:port>', 'also listen on TCP, where every call needs a token'),
  ...tcpOptions,
}

export function serveVerb(): Command {
  return local('serve', 'Serves the ledger to other processes, until SIGTERM or SIGINT.', {
    own,
    more: 'Commands and connect() use the service without being told. A second signal ends it at once.',
    errors: ['FILE_READ_ONLY', 'LEDGER_COPIED', 'LEDGER_SERVED'],
    run: async ({ command, given, globals }) => {
      // Checked first, so that a mistake in an option opens nothing.
      const listen = listenOf(given)
      const [{ openLedger }, { serve }] = await Promise.all([import('../open.ts'), import('../service/serve.ts')])
      const actor = actorOf(globals)
      const ledger = await openLedger({
        dir: folderOf(globals),
        command: `lockstep ${command}`,
        authn: 'os',
        is_service: true,
        ...(given.engine === undefined ? {} : { engine: given.engine as `postgres://${string}` }),
        ...(actor === undefined ? {} : { actor }),
        ...(globals.openWait === undefined ? {} : { open_wait_s: globals.openWait }),
      })
      try {
        const stop = stopped()
        const idle = given.idleExit === undefined ? undefined : { after_s: given.idleExit, ended: stop.now }
        const service = await serve(ledger, { idle, listen })
        const url = service.url === undefined ? '' : ` and ${service.url}`
        say(`lockstep serves ${ledger.dir} at ${service.address}${url}`)
        await stop.asked
        await service.close()
      } finally {
        await ledger.close()
      }
    },
    examples: ['lockstep serve', 'lockstep serve --listen 0.0.0.0:7443 --tls-cert cert.pem --tls-key key.pem'],
  })
}

function listenOf({ listen, ...options }: Given<typeof own>): ServeOptions['listen'] {
  if (listen !== undefined) return tcpOf(listen, options)
  const { insecure, tlsCert, tlsClientCa, tlsKey } = options
  const isForTcp = insecure || [tlsCert, tlsClientCa, tlsKey].some((file) => file !== undefined)
  if (!isForTcp) return undefined
  throw new LockstepError('INVALID_INPUT', '--insecure and the options of TLS need --listen')
}
