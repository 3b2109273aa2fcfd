import type { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import { given as defined } from '../kernel/given.ts'
import { limits } from '../kernel/limits.ts'
import type { ServeOptions } from '../service/serve.ts'
import { actorOf, folderOf } from './context.ts'
import { readText } from './input-file.ts'
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
  nodeCa: text('--node-ca <file>', 'the authority that signs the certificates of other nodes, as PEM'),
  nodeToken: text('--node-token <file>', 'a token with the grant node, to forward commands to the node that writes'),
  nodeUrl: text('--node-url <url>', 'where other nodes reach this one (default: the address of --listen)'),
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
      const [{ openLedger }, { openShared }, { serve, serveNode }] = await Promise.all([
        import('../open.ts'),
        import('../shared.ts'),
        import('../service/serve.ts'),
      ])
      const [actor, dir] = [actorOf(globals), folderOf(globals)]
      const forward = forwardOf(given)
      const shared = await openShared({ actor, dir, engine: given.engine })
      if (shared === undefined && Object.values(forward).some((option) => option !== undefined)) {
        throw new LockstepError('INVALID_INPUT', 'options of nodes are for a ledger in a database')
      }
      const own = { dir, command: `lockstep ${command}`, authn: 'os', is_service: true } as const
      const ledger =
        shared?.follower ?? (await openLedger({ ...own, ...defined({ actor, open_wait_s: globals.openWait }) }))
      try {
        const stop = stopped()
        const idle = given.idleExit === undefined ? undefined : { after_s: given.idleExit, ended: stop.now }
        const service = await (shared === undefined
          ? serve(ledger, { idle, listen })
          : serveNode(shared, { forward, idle, listen }))
        const url = service.url === undefined ? '' : ` and ${service.url}`
        say(`lockstep serves ${ledger.dir} at ${service.address}${url}`)
        await stop.asked
        await service.close()
      } finally {
        await (shared ?? ledger).close()
      }
    },
    examples: [
      'lockstep serve',
      'lockstep serve --listen 0.0.0.0:7443 --tls-cert cert.pem --tls-key key.pem',
      'lockstep serve --listen 10.0.0.1:7443 --tls-cert cert.pem --tls-key key.pem --node-token node.token',
    ],
  })
}

/** How this node calls the one that writes. Errors: those of reading a file, INVALID_INPUT. */
function forwardOf({ nodeCa, nodeToken, nodeUrl }: Given<typeof own>): NonNullable<ServeOptions['forward']> {
  if (nodeUrl !== undefined && !/^https?:\/\/[^/]+\/?$/.test(nodeUrl)) {
    throw new LockstepError('INVALID_INPUT', '--node-url must be a scheme, a host and a port')
  }
  const token = nodeToken && readText(nodeToken, limits.homeFileBytes).trim()
  const ca = nodeCa && readText(nodeCa, limits.homeFileBytes)
  return { token, tls: ca === undefined ? undefined : { ca }, url: nodeUrl }
}

function listenOf({ listen, ...options }: Given<typeof own>): ServeOptions['listen'] {
  if (listen !== undefined) return tcpOf(listen, options)
  const { insecure, tlsCert, tlsClientCa, tlsKey } = options
  const isForTcp = insecure || [tlsCert, tlsClientCa, tlsKey].some((file) => file !== undefined)
  if (!isForTcp) return undefined
  throw new LockstepError('INVALID_INPUT', '--insecure and the options of TLS need --listen')
}
