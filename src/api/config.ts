import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/config.ts'

/** Configuration: the settings that decide, as they are in force. */
export interface ConfigApi {
  /** The configuration in force, and whether the file states another. */
  show(input?: Nothing, options?: CallOptions): Promise<shapes.ConfigInForce>
  /** Checks the file, and shows what a reload would change. Records nothing. */
  check(input?: Nothing, options?: CallOptions): Promise<shapes.CheckedConfig>
  /** Reads the file and puts it in force. Cost: one append, none if it is in force already. */
  reload(input?: shapes.ReloadConfig, options?: CallOptions): Promise<shapes.ReloadedConfig>
}

export const config: Operations<ConfigApi> = {
  show: {
    kind: 'query',
    summary: 'Shows the configuration in force.',
    input: nothing,
    output: shapes.shown,
    errors: [],
    grants: anyGrant,
  },
  check: {
    kind: 'query',
    summary: 'Checks the configuration file, and shows what a reload would change.',
    input: nothing,
    output: shapes.checked,
    errors: ['FILE_DENIED', 'FILE_FAILED'],
    grants: anyGrant,
  },
  reload: {
    kind: 'command',
    summary: 'Puts the configuration file in force.',
    input: shapes.reload,
    output: shapes.reloaded,
    errors: ['CONFIG_INVALID', 'CONFIG_DENIED', 'RETENTION_UNCONFIRMED', 'FILE_DENIED', 'FILE_FAILED'],
    grants: ['operator'],
  },
}
