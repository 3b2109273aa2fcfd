import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio'
import { type Client, connect } from '../client.ts'
import { type Config, mcpSettingsIn } from '../kernel/config.ts'
import type { Actor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import { Heartbeats } from './heartbeats.ts'
import { isLoss } from './lock-tools.ts'
import { Places } from './places.ts'
import { mcpServer } from './server.ts'
import type { Session } from './session.ts'

/** For whom a server on stdio works. */
export interface StdioOptions {
  /** Who acts. Undefined if the token says it. */
  actor: Actor | undefined
  /** A folder at or below the root of the ledger. Paths are relative to it. */
  dir: string
  /** The name of the holder in reports. */
  holder: string
  token: string | undefined
  /** Tells a person about an error of the connection. */
  say: (text: string) => void
  /** Resolves when the process is asked to end. */
  stop: Promise<void>
}

/** How often the harness is looked for, and how long its end may take to show after its end of the pipe is closed. */
const lookMillis = 250
const graceMillis = 1_000

/**
 * Serves MCP on stdin and stdout until the client is gone. Calls go to the service of the ledger, which is started when
 * it does not answer. The parent of this process, which is the harness, is recorded as the process of every lock. When
 * it dies, the locks that were acquired here are released.
 */
export async function serveOnStdio({ dir, say, stop, ...who }: StdioOptions): Promise<void> {
  const harness = process.ppid
  const isHarnessAlive = () => process.ppid === harness
  const client = connector({ dir, ...who })
  let settings = mcpSettingsIn({})
  const heartbeats = new Heartbeats({
    idleMillisMax: () => settings.max_idle_s * 1000,
    isLoss,
    renew: async (lock_id) => (await client()).locks.renew({ lock_id }),
  })
  const places = new Places()
  const session = async (): Promise<Session> => {
    heartbeats.touch()
    return {
      api: await client(),
      forget: (lock_id) => heartbeats.forget(lock_id),
      fromHere: (path) => (path.endsWith('/') ? `${resolve(dir, path)}/` : resolve(dir, path)),
      holder: who.holder,
      keep: (grant) => heartbeats.keep(grant),
      // A harness in another namespace of pids has the pid 0 here.
      pids: harness > 0 ? [harness] : [],
      places,
    }
  }
  const transport = new ClosingTransport()
  const factory = async () => {
    settings = (await settingsOf(client)) ?? settings
    return mcpServer({ hasTurns: settings.turn_apply, session })
  }
  serveStdio(factory, { onerror: ({ message }) => say(message), transport })
  const looking = setInterval(() => isHarnessAlive() || transport.close(), lookMillis)
  await Promise.race([transport.closed, stop])
  clearInterval(looking)
  places.close()
  const { lock_ids } = heartbeats
  heartbeats.close()
  const until = performance.now() + graceMillis
  while (lock_ids.length > 0 && isHarnessAlive() && performance.now() < until) await pause(lookMillis / 10)
  if (!isHarnessAlive() && lock_ids.length > 0) {
    const { locks } = await client()
    // A lock that cannot be released now ends when its process is found dead, or with its lease.
    await Promise.allSettled(lock_ids.map((lock_id) => locks.release({ lock_id, outcome: 'failure' })))
  }
}

/** The transport on stdin and stdout. It closes itself when the client is gone, and tells so. */
class ClosingTransport extends StdioServerTransport {
  readonly closed: Promise<void>
  #tell = () => {}

  constructor() {
    super()
    this.closed = new Promise((resolve) => {
      this.#tell = resolve
    })
  }

  override async close(): Promise<void> {
    await super.close()
    this.#tell()
  }
}

/** Connects at the first call. A folder may get its ledger later, so a failure is not remembered. */
function connector({ actor, dir, token }: Pick<StdioOptions, 'actor' | 'dir' | 'token'>): () => Promise<Client> {
  let connected: Promise<Client> | undefined
  return () => {
    connected ??= connect({ actor, dir, start: true, token }).catch((error: unknown) => {
      connected = undefined
      throw error
    })
    return connected
  }
}

/** The settings in force. Undefined if they cannot be read soon: a client waits for the list of tools. */
async function settingsOf(client: () => Promise<Client>): Promise<Config['mcp'] | undefined> {
  const asked = client().then(({ config }) => config.show())
  const late = pause(limits.toolSettingsMillisMax, undefined, { ref: false })
  // Each call of a tool reports why the ledger cannot be reached.
  const shown = await Promise.race([asked, late]).catch(() => undefined)
  return shown && mcpSettingsIn(shown.settings)
}
