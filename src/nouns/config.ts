import type { z } from 'zod'
import type { ConfigApi } from '../api/config.ts'
import type * as shapes from '../api/shapes/config.ts'
import {
  type ConfigText,
  configFileName,
  type InvalidConfig,
  invalidConfig,
  readConfig,
  readConfigFile,
} from '../disk/config-file.ts'
import { type ConfigChange, changesOf, loadedConfig } from '../domain/log/configuration.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import type { Config } from '../kernel/config.ts'
import { wallTimeOf } from '../kernel/entry-time.ts'
import type { Actor } from '../kernel/ids.ts'
import type { ConfigInForce } from '../writer/config-in-force.ts'
import { type Core, submit } from '../writer/core.ts'
import type { PolicyOfLedger } from './policy/policy.ts'
import type { Handlers } from './served.ts'

interface Parts {
  config: ConfigInForce
  policy: PolicyOfLedger
}

/** The configuration in force, and the file from which an operator loads another. */
export class ConfigOfLedger implements Handlers<ConfigApi> {
  readonly #core: Core
  readonly #inForce: ConfigInForce
  readonly #policy: PolicyOfLedger

  constructor(core: Core, { config, policy }: Parts) {
    this.#core = core
    this.#inForce = config
    this.#policy = policy
  }

  async show(): Promise<shapes.ConfigInForce> {
    const loaded = loadedConfig(await this.#core.views.row(ledgerStream))
    const entry = loaded && (await this.#core.views.entry(loaded.seq))
    return {
      file: configFileName,
      loaded: entry === undefined ? null : wallTimeOf(entry),
      on_disk: this.#onDisk(),
      seq: loaded?.seq ?? null,
      settings: JSON.parse(JSON.stringify(this.#core.config)),
      sha256: loaded?.sha256 ?? null,
    }
  }

  async check(): Promise<shapes.CheckedConfig> {
    const read = await this.#read()
    if ('problems' in read) return { changes: [], loadable: false, problems: read.problems, sha256: null }
    return { changes: this.#changes(read.config), loadable: true, problems: [], sha256: read.sha256 }
  }

  async reload({
    actor,
    confirm_retention_minimum: confirmed,
    sha256,
  }: z.output<typeof shapes.reload>): Promise<shapes.ReloadedConfig> {
    const read = await this.#read()
    if ('problems' in read) return this.#unusable(read.problems, actor)
    if (sha256 !== undefined && sha256 !== read.sha256) {
      const message = `the file has the SHA-256 ${read.sha256}, not ${sha256}: it changed after it was checked`
      return this.#unusable([{ file: configFileName, line: 1, message }], actor)
    }
    const changes = this.#changes(read.config)
    const { replayed } = await load(this.#core, this.#inForce, { ...read, confirmed }, actor)
    return { ...(await this.show()), changes, replayed }
  }

  /** CONFIG_INVALID. Who may not change the configuration is told so, and not what is wrong with the file. */
  async #unusable(problems: InvalidConfig['problems'], actor: Actor | undefined): Promise<never> {
    await submit(this.#core, { type: 'config.load', sha256: null }, { actor })
    throw invalidConfig(problems)
  }

  /** The file, or its problems. A file under which the policy in force could not be read is a problem too. */
  async #read(): Promise<ConfigText | InvalidConfig> {
    const read = readConfigFile(this.#core.layout.config)
    if ('problems' in read) return read
    const problems = await this.#policy.problemsUnder(read.config.promotion_roles)
    return problems.length === 0 ? read : { problems }
  }

  /** The setting that is read from the file at each open takes effect without a reload. */
  #changes(config: Config): ConfigChange[] {
    return changesOf(this.#core.config, config).filter(({ setting }) => setting !== 'accept_permissions')
  }

  #onDisk(): shapes.ConfigInForce['on_disk'] {
    try {
      const read = readConfigFile(this.#core.layout.config)
      if ('problems' in read) return read.isMissing ? 'missing' : 'invalid'
      return this.#changes(read.config).length === 0 ? 'same' : 'changed'
    } catch {
      // The file cannot be read. The configuration in force can be shown nevertheless.
      return 'invalid'
    }
  }
}

/**
 * Puts the file in force if no configuration is, as in a ledger of an older version. So an edit of the file has no effect
 * from the first open on. Errors: CONFIG_INVALID.
 */
export async function loadFirstConfig(core: Core, inForce: ConfigInForce): Promise<void> {
  if (inForce.current.sha256 === undefined) await load(core, inForce, readConfig(core.layout.config))
}

function load(
  core: Core,
  inForce: ConfigInForce,
  read: ConfigText & { confirmed?: string | undefined },
  actor?: Actor,
) {
  inForce.keep(read)
  return submit(core, { type: 'config.load', ...read }, { actor })
}
