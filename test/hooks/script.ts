import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { HarnessName } from '../../src/hooks/forms.ts'
import { dist } from '../support/command.ts'
import { distFor } from '../support/other-user.ts'

export interface Printed {
  code: number | null
  stderr: string
  stdout: string
}

export interface Scripted {
  /** Another command than the script. */
  command?: string | undefined
  cwd: string
  env?: Record<string, string>
  mode?: 'enforce' | 'warn'
  node?: string
  shell?: string
  /** Runs as this user. Needs root. */
  uid?: number | undefined
}

/** Calls the script as a harness does: by a shell, with the document on stdin. */
export async function hook(
  harness: HarnessName,
  document: object,
  { command, cwd, env = {}, mode = 'enforce', node = process.execPath, shell = '/bin/sh', uid }: Scripted,
): Promise<Printed> {
  const { hook_event_name: event } = document as { hook_event_name?: string }
  const script = join(uid === undefined ? dist : distFor(uid, dist), 'cli/hook.sh')
  const words = [shell, script, harness, mode, String(event), node].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  return run(command ?? words.join(' '), JSON.stringify(document), { cwd, env, uid })
}

/** Runs a command by a shell, with text on stdin. */
export async function run(
  command: string,
  stdin: string,
  { cwd, env = {}, uid }: Pick<Scripted, 'cwd' | 'env' | 'uid'>,
): Promise<Printed> {
  const clean = { ...process.env, LOCKSTEP_ACTOR: undefined, LOCKSTEP_DIR: undefined }
  const child = spawn('/bin/sh', ['-c', command], {
    cwd,
    env: { ...clean, ...env },
    ...(uid === undefined ? {} : { gid: uid, uid }),
  })
  let [stderr, stdout] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  await once(child, 'close')
  return { code: child.exitCode, stderr, stdout }
}
