import { type ConfigText, configOf, invalidConfig } from '../disk/config-file.ts'
import { digestIn, loadedConfig } from '../domain/log/configuration.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import type { Config } from '../kernel/config.ts'
import type { LoadedState, Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Key, LogReader } from '../log/log.ts'

/** A configuration that decisions use. `sha256` is undefined if the ledger has none in force. */
export interface InForce {
  config: Config
  sha256: string | undefined
}

/**
 * The configuration in force. Decisions take it from the rows and objects that they read, so that it follows from the
 * entries before them, not from a file. Everything else uses `current`, which follows the published entries.
 */
export class ConfigInForce {
  /** Used as long as the ledger has no configuration in force. */
  readonly #before: Config
  readonly #read = new Map<string, Config>()
  #current: InForce

  constructor(before: Config, { config, sha256 }: InForce = { config: before, sha256: undefined }) {
    this.#before = before
    this.#current = { config, sha256 }
    if (sha256 !== undefined) this.keep({ config, sha256 })
  }

  get current(): InForce {
    return this.#current
  }

  /** The settings in force, for parts that ask each time. */
  readonly settings = (): Config => this.#current.config

  /** The configuration in force by the state that a decision reads. Throws `notLoaded` as `rows` does. */
  at(rows: LoadedState): InForce {
    const loaded = loadedConfig(rows.get(ledgerStream))
    if (loaded === undefined) return { config: this.#before, sha256: undefined }
    const { sha256 } = loaded
    const known = this.#read.get(sha256)
    if (known !== undefined) return { config: known, sha256 }
    const config = configIn(JSON.stringify(rows.object(sha256)))
    this.keep({ config, sha256 })
    return { config, sha256 }
  }

  /** Keeps a configuration that was read, so that it is known when its entry is decided. */
  keep({ config, sha256 }: Pick<ConfigText, 'config' | 'sha256'>): void {
    this.#read.set(sha256, config)
    const [oldest] = this.#read.keys()
    if (this.#read.size > keptMax && oldest !== undefined) this.#read.delete(oldest)
  }

  /** Takes over what published entries put in force. */
  published(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const sha256 = digestIn(entry)
      const config = sha256 && this.#read.get(sha256)
      if (config) this.#current = { config, sha256 }
    }
  }
}

/** The configuration in force in a log; undefined if there is none. Errors: LEDGER_CORRUPT, CONFIG_INVALID. */
export async function configInLog(log: LogReader): Promise<ConfigText | undefined> {
  const load = async (key: Key) => (await log.load([key]))[0]
  const loaded = loadedConfig((await load({ view: 'row', key: ledgerStream })) as Row | undefined)
  if (loaded === undefined) return undefined
  const text = String(await load({ view: 'object', key: loaded.sha256 }))
  return { config: configIn(text), sha256: loaded.sha256, text }
}

/** The configurations that stay in memory: that in force, and those that are about to be. */
const keptMax = 8

/** Only a newer version of Lockstep can have put a text in force that this version refuses. */
function configIn(text: string): Config {
  const read = configOf(text)
  if ('problems' in read) throw invalidConfig(read.problems)
  return read.config
}
