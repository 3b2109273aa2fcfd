import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { is } from 'uvu/assert'
import { hooksPath, mediaTypes } from '../../src/api/wire.ts'
import type { HarnessName } from '../../src/hooks/forms.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { OpenLedgerOptions } from '../../src/open.ts'
import type { Service } from '../../src/service/serve.ts'
import { post, withService } from '../support/service.ts'
import { hookDocument } from './hook-documents.ts'

/** A service whose hooks are called by its route. */
export interface Hooked {
  dir: string
  ledger: LocalLedger
  service: Service
  /** Calls a hook with a document of the fixtures, and returns the answer: undefined if the hook prints nothing. */
  call: (harness: HarnessName, name: string, more?: object, headers?: Record<string, string>) => Promise<unknown>
}

/** This process as the one above a hook. */
export const above = aboveOf(process.pid)

/** A process, as a hook states the one above it. */
export function aboveOf(pid: number): string {
  const stat = process.platform === 'linux' ? readFileSync(`/proc/${pid}/stat`, 'latin1') : ''
  return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`.trim()
}

/** Runs work with a service whose root has the folder `src`; the ledger is verified in the end. */
export function withHooks<T>(
  work: (hooked: Hooked) => Promise<T>,
  options: Omit<OpenLedgerOptions, 'create' | 'dir'> = {},
): Promise<T> {
  return withService(
    (service, ledger) => {
      mkdirSync(join(ledger.dir, 'src'))
      const call: Hooked['call'] = async (harness, name, more = {}, headers = {}) => {
        const document = { ...hookDocument(harness, name, ledger.dir), ...more }
        const asked = { headers: { 'lockstep-process': above, ...headers } }
        const { headers: got, status, text } = await post(service.address, hooksPath(harness), document, asked)
        is(status, 200, text)
        is(got['content-type'], mediaTypes.hook)
        return text === '' ? undefined : JSON.parse(text)
      }
      return work({ call, dir: ledger.dir, ledger, service })
    },
    { ledger: options },
  )
}

/** The reason of a denial in the form of Claude Code. */
export function reasonIn(answer: unknown): string {
  const { hookSpecificOutput } = answer as { hookSpecificOutput?: Record<string, string> }
  is(hookSpecificOutput?.permissionDecision, 'deny')
  return hookSpecificOutput?.permissionDecisionReason ?? ''
}

/** The text that the model is told, in the form of Claude Code. */
export function toldIn(answer: unknown): string {
  const { hookSpecificOutput } = answer as { hookSpecificOutput?: Record<string, string> }
  return hookSpecificOutput?.additionalContext ?? ''
}
