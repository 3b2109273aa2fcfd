import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type HarnessName, harnessNames, isBefore } from '../hooks/forms.ts'
import { readSettings, settingsFile } from './hook-install.ts'
import { type Installed, installedIn, places } from './hook-settings.ts'

const answerMillisMax = 20_000

/** One harness whose settings have hooks of Lockstep. */
interface Found {
  file: string
  harness: HarnessName
  hooks: Installed[]
}

/**
 * Tries each installed hook as its harness calls it: two sessions want one file, the second is stopped, and both end.
 * Errors: the first hook that does not do its work.
 */
export async function hooksFinding(root: string): Promise<string> {
  const found = harnessNames.flatMap((harness) =>
    (['project', 'user'] as const).flatMap((scope): Found[] => {
      const file = settingsFile(harness, scope, root)
      const hooks = installedIn(readSettings(file).settings)
      return hooks.length === 0 ? [] : [{ file, harness, hooks }]
    }),
  )
  if (found.length === 0) return 'none is installed for a coding agent'
  for (const one of found) await tried(one, root)
  return found.map(({ file, harness, hooks }) => `${places[harness].title} in ${file} (${hooks[0]?.mode})`).join('; ')
}

async function tried({ file, harness, hooks }: Found, root: string): Promise<void> {
  const nonce = randomBytes(6).toString('hex')
  const sessions = [`doctor-${nonce}-1`, `doctor-${nonce}-2`]
  const call = async (hook: Installed, session: string) => {
    const document = documentOf(hook.event, { harness, nonce, root, session })
    const { code, stdout } = await run(hook.command, JSON.stringify(document), root)
    if (code !== 0) throw new Error(`the hook ${hook.event} in ${file} ended with code ${code}`)
    if (stdout.includes('Lockstep guards this folder, but')) {
      throw new Error(
        `the hook ${hook.event} in ${file} has no valid answer of the service: run "lockstep serve" to see why`,
      )
    }
    return stdout.trim()
  }
  const before = hooks.find(({ event }) => isBefore(harness, event))
  const ofSession = (session: string) =>
    hooks.filter((hook) => hook !== before).map((hook) => () => call(hook, session))
  const answers: string[] = []
  for (const session of sessions) if (before !== undefined) answers.push(await call(before, session))
  for (const session of sessions) for (const next of ofSession(session)) await next()
  const [first = '', second = ''] = answers
  const isStrict = first.includes('you lock a file before you edit it')
  if (before === undefined || (!isStrict && (first !== '' || !second.includes('is locked by another agent')))) {
    throw new Error(
      `the hooks in ${file} did not stop a second session: ${before === undefined ? 'one is missing' : first || second || 'no answer'}`,
    )
  }
}

/** A document of an event, about a file that does not exist. */
function documentOf(
  event: string,
  { harness, nonce, root, session }: { harness: HarnessName; nonce: string; root: string; session: string },
): object {
  const path = join(root, `lockstep-doctor-${nonce}`)
  const tools: Record<HarnessName, object> = {
    claude: { tool_name: 'Write', tool_input: { file_path: path, content: '' } },
    codex: {
      tool_name: 'apply_patch',
      tool_input: { command: `*** Begin Patch\n*** Add File: ${path}\n*** End Patch\n` },
    },
    cursor: { tool_name: 'Write', tool_input: { file_path: path, content: '' } },
    gemini: { tool_name: 'write_file', tool_input: { file_path: path, content: '' } },
  }
  const ids = harness === 'cursor' ? { conversation_id: session, workspace_roots: [root] } : { session_id: session }
  return { ...ids, ...tools[harness], cwd: root, hook_event_name: event, tool_use_id: `doctor-${nonce}` }
}

function run(command: string, stdin: string, cwd: string): Promise<{ code: number | null; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], {
      cwd,
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: answerMillisMax,
    })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout }))
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
  })
}
