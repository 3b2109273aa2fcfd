import { lstatSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { hooksPath, mediaTypes, wireLimits } from '../api/wire.ts'
import { startService } from '../client/start-service.ts'
import { governingRoot, layoutOf } from '../disk/layout.ts'
import { socketOf } from '../disk/service-socket.ts'
import { type HarnessName, isBefore, type Reply, written } from '../hooks/forms.ts'
import { say, writeOut } from './output.ts'
import { isServed } from './service.ts'

/** What a hook was called with. */
export interface Hook {
  dir: string
  /** The harness's name of the event. By default the document says it. */
  event?: string | undefined
  harness: HarnessName
  isEnforced: boolean
  /** The process above the hook, as `pid` or `pid start`. By default the one above this process. */
  process?: string | undefined
}

/** How long an answer may take. At the end of a session, the harness itself waits little longer. */
const answerMillis = 5_000
const endMillis = 1_200
const startMillis = 10_000

type Answered = { text: string } | { failed: string }

/**
 * Passes the document on stdin to the service and prints its answer. It does so in the way of `hook.sh`, where curl is
 * missing. Whatever goes wrong is told in the form of the harness. Without a ledger, nothing is.
 */
export async function runHook(hook: Hook): Promise<void> {
  const root = governingRoot(hook.dir)
  if (root === undefined) return
  const document = readFileSync(0)
  const { event = eventIn(document), harness, isEnforced } = hook
  const answered = await answerOf(hook, { document, event, root })
  if ('text' in answered) return writeOut(answered.text === '' ? '' : `${answered.text}\n`)
  const isDenied = isEnforced && isBefore(harness, event)
  const form = written(harness, event, isDenied ? denial(answered.failed) : note(answered.failed))
  if (form === undefined) say(note(answered.failed).text)
  else writeOut(`${JSON.stringify(form)}\n`)
}

/** The sentences of `hook.sh`. */
const denial = (why: string): Reply => ({
  kind: 'deny',
  text: `Lockstep guards this folder, but ${why}. So no tool may run here. Tell the user to run: lockstep doctor`,
})
const note = (why: string): Reply => ({
  kind: 'note',
  text: `Lockstep guards this folder, but ${why}. This goes on unguarded and unrecorded. See: lockstep doctor`,
})
const foreign = { failed: 'its folder belongs to another user' }
const away = { failed: 'its service does not run and could not be started' }

async function answerOf(
  hook: Hook,
  { document, event, root }: { document: Buffer; event: string; root: string },
): Promise<Answered> {
  const isEnd = event.toLowerCase() === 'sessionend'
  const own = process.getuid?.() ?? 0
  if (own !== 0 && lstatSync(layoutOf(root).home).uid !== own) return foreign
  if (!(await isServed(root))) {
    if (isEnd) return away
    const limit = new Promise<false>((resolve) => setTimeout(() => resolve(false), startMillis).unref())
    const started = startService(root, () => isServed(root)).then(
      () => true,
      () => false,
    )
    if (!(await Promise.race([started, limit]))) return away
  }
  const socket = socketOf(layoutOf(root))
  return socket === undefined ? away : sent(hook, document, { millis: isEnd ? endMillis : answerMillis, socket })
}

function sent(
  { harness, process: above = `${process.ppid} ${startOf(process.ppid)}`.trim() }: Hook,
  document: Buffer,
  { millis, socket }: { millis: number; socket: string },
): Promise<Answered> {
  const { LOCKSTEP_ACTOR, LOCKSTEP_BEARER_TOKEN, LOCKSTEP_LOCK_ID, LOCKSTEP_ON_BEHALF_OF } = process.env
  const known = {
    'Lockstep-Actor': LOCKSTEP_ACTOR,
    'Lockstep-On-Behalf-Of': LOCKSTEP_ON_BEHALF_OF,
    'Lockstep-Lock-Id': LOCKSTEP_LOCK_ID,
    Authorization: LOCKSTEP_BEARER_TOKEN && `Bearer ${LOCKSTEP_BEARER_TOKEN}`,
  }
  const given = Object.entries(known).flatMap(([name, value]) => (value ? [[name, Buffer.from(value)] as const] : []))
  const headers = {
    ...Object.fromEntries(given.map(([name, value]) => [name, value.toString('latin1')])),
    'Content-Type': mediaTypes.json,
    'Content-Length': document.length,
    Host: 'localhost',
    'Lockstep-Process': above,
  }
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(millis)
    const slow = () => resolve({ failed: signal.aborted ? 'its service does not answer in time' : away.failed })
    const invalid = () => resolve({ failed: 'its service gives no valid answer' })
    const asked = request(
      { headers, method: 'POST', path: hooksPath(harness), signal, socketPath: socket },
      (answer) => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
          if (text.length > wireLimits.bodyBytes) answer.destroy()
        })
        answer.once('error', () => (signal.aborted ? slow() : invalid()))
        answer.once('end', () => {
          const isOurs = answer.statusCode === 200 && answer.headers['content-type'] === mediaTypes.hook
          if (isOurs && /^(?:\{.*\})?$/s.test(text)) resolve({ text })
          else invalid()
        })
      },
    )
    asked.once('error', (error) => ('code' in error && String(error.code).startsWith('HPE_') ? invalid() : slow()))
    asked.end(document)
  })
}

/** The start time of a process in ticks, where Linux tells it. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function eventIn(document: Buffer): string {
  try {
    return String(Object(JSON.parse(document.toString('utf8'))).hook_event_name)
  } catch {
    return ''
  }
}
