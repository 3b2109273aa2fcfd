import type { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { ServeOptions } from '../service/serve.ts'
import { actorOf, folderOf } from './context.ts'
import { readText } from './input-file.ts'
import { say } from './output.ts'
import { seconds } from './values.ts'
import { type Given, local, type Own, text, toggle } from './verb.ts'

const idleExit: Own<number> = {
  about: 'end when nobody called for this long, such as 10m',
  flag: '--idle-exit <duration>',
  read: seconds,
}
const own = {
  idleExit,
  insecure: toggle('--insecure', 'allow plain HTTP on an address that other machines can reach'),
  listen: text('--listen <host:port>', 'also listen on TCP, where every call needs a token'),
  tlsCert: text('--tls-cert <file>', 'the certificate for TLS, as PEM'),
  tlsClientCa: text('--tls-client-ca <file>', 'demand client certificates of this authority'),
  tlsKey: text('--tls-key <file>', 'the key of the certificate, as PEM'),
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

/** Resolves at the first signal, or when `now` is called. A second signal ends the process at once. */
function stopped(): { asked: Promise<void>; now: () => void } {
  let now = () => {}
  const asked = new Promise<void>((resolve) => {
    now = resolve
  })
  let isAsked = false
  const numbers = { SIGINT: 2, SIGTERM: 15 }
  for (const [signal, number] of Object.entries(numbers)) {
    process.on(signal, () => {
      if (isAsked) process.exit(128 + number)
      isAsked = true
      now()
    })
  }
  return { asked, now }
}

function listenOf({ insecure, listen, tlsCert, tlsClientCa, tlsKey }: Given<typeof own>): ServeOptions['listen'] {
  const isForTcp = insecure || [tlsCert, tlsClientCa, tlsKey].some((file) => file !== undefined)
  if (listen === undefined && isForTcp) throw invalid('--insecure and the options of TLS need --listen')
  if (listen === undefined) return undefined
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw invalid('--tls-cert and --tls-key need each other')
  if (tlsClientCa !== undefined && tlsCert === undefined) throw invalid('--tls-client-ca needs --tls-cert')
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(listen) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535) throw invalid('--listen must be HOST:PORT')
  const tls =
    tlsCert === undefined || tlsKey === undefined
      ? undefined
      : { cert: pemIn(tlsCert), key: pemIn(tlsKey), client_ca: tlsClientCa && pemIn(tlsClientCa) }
  return { host, port: Number(port), insecure: insecure === true, tls }
}

const pemIn = (file: string) => readText(file, limits.homeFileBytes)

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', message)
}
