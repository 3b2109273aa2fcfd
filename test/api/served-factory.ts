import type { Api } from '../../src/api/api.ts'
import { kinds } from '../../src/api/kinds.ts'
import { anyGrant, type CallOptions } from '../../src/api/operation.ts'
import { type Client, connect } from '../../src/client.ts'
import type { Actor } from '../../src/kernel/ids.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { serve } from '../../src/service/serve.ts'
import { certificate } from '../support/certificate.ts'
import { inProcessFactory } from './in-process-factory.ts'
import type { ApiFactory } from './stage.ts'

/** The cases state roles that only the policy judges. */
const roles = new (class extends Set<string> {
  override has(): boolean {
    return true
  }
})()

/**
 * A ledger behind a service in this process, called through the client over the Unix socket. Every actor has a token
 * with all grants, because the socket alone gives only the grant `agent`.
 */
export const socketFactory: ApiFactory = (options) => served(options, false)

/**
 * The same over TCP with TLS. A service refuses facts about the caller's machine there, so the calls that name a folder
 * or processes go over the socket.
 */
export const tlsFactory: ApiFactory = (options) => served(options, true)

async function served(options: Parameters<ApiFactory>[0], isTls: boolean): ReturnType<ApiFactory> {
  const inProcess = await inProcessFactory(options)
  const actors = new Map<string, Actor>()
  const tls = isTls ? certificate() : undefined
  const service = await serve(inProcess.ledger as LocalLedger, {
    authenticate: async (token) => {
      const actor = actors.get(token)
      if (actor === undefined) return undefined
      return { actor, grants: new Set(anyGrant), roles, token_id: token }
    },
    listen: tls && { host: '127.0.0.1', port: 0, tls },
    log: false,
  })
  const clients = new Map<string, Promise<Client>>()
  let isClosed = false
  const clientOf = (actor: Actor, isLocal: boolean): Promise<Client> => {
    const key = JSON.stringify([actor, isLocal])
    const known = clients.get(key)
    if (known !== undefined) return known
    const token = `token-${clients.size}`
    actors.set(token, actor)
    const where = tls === undefined || isLocal ? { dir: options.dir } : { url: service.url, tls: { ca: tls.cert } }
    const client = connect({ ...where, token })
    clients.set(key, client)
    return client
  }
  const ledger = calledBy((input: { actor?: Actor; directory?: string; folder?: string; pids?: number[] }) => {
    const { actor = options.actor, directory, folder, pids } = input
    // After the close, any client says that it is closed.
    return clientOf(
      isClosed ? options.actor : actor,
      [directory, folder, pids].some((member) => member !== undefined),
    )
  })
  await clientOf(options.actor, false)
  await clientOf(options.actor, true)
  const close = async () => {
    isClosed = true
    await Promise.all([...clients.values()].map(async (client) => (await client).close()))
    await service.close()
    await inProcess.close()
  }
  return { ledger, close }
}

type Method = (input?: object, options?: CallOptions) => unknown

/** All operations, each called through the client that its input chooses. */
function calledBy(choose: (input: object) => Promise<Client>): Api {
  const nouns = Object.entries(kinds).map(([noun, verbs]) => {
    const methods = Object.entries<string>(verbs).map(([verb, kind]) => {
      const methodOf = (client: Client) => Reflect.get(Reflect.get(client, noun), verb) as Method
      const ask: Method = async (input = {}, options) => methodOf(await choose(input))(input, options)
      const follow: Method = async function* (input = {}, options) {
        yield* methodOf(await choose(input))(input, options) as AsyncIterable<unknown>
      }
      return [verb, kind === 'stream' ? follow : ask]
    })
    return [noun, Object.fromEntries(methods)]
  })
  return Object.fromEntries(nouns) as Api
}
