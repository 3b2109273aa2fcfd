import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { HarnessName } from '../../src/hooks/forms.ts'
import { root } from '../runner.ts'

/** The built script, or the one of another build. */
const script = join(process.env.LOCKSTEP_TEST_DIST ?? join(root, 'dist'), 'cli/hook.sh')

export interface Printed {
  code: number | null
  stderr: string
  stdout: string
}

export interface Scripted {
  cwd: string
  env?: Record<string, string>
  mode?: 'enforce' | 'warn'
  node?: string
  shell?: string
}

/** Calls the script as a harness does: by a shell, with the document on stdin. */
export async function hook(
  harness: HarnessName,
  document: object,
  { cwd, env = {}, mode = 'enforce', node = process.execPath, shell = '/bin/sh' }: Scripted,
): Promise<Printed> {
  const { hook_event_name: event } = document as { hook_event_name?: string }
  const words = [shell, script, harness, mode, String(event), node].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  return run(words.join(' '), JSON.stringify(document), { cwd, env })
}

/** Runs a command by a shell, with text on stdin. */
export async function run(
  command: string,
  stdin: string,
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<Printed> {
  const clean = { ...process.env, LOCKSTEP_ACTOR: undefined, LOCKSTEP_DIR: undefined }
  const child = spawn('/bin/sh', ['-c', command], { cwd, env: { ...clean, ...env } })
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
