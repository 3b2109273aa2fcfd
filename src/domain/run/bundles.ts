import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Refusal } from '../../kernel/decider.ts'
import { isOfKind } from '../policy/artifact-content.ts'
import { type RunCase, refused } from './case.ts'
import type { CompleteRun, FailRun, RecordAction } from './commands.ts'

// A bundle is an output of its run only through the entry that has the bundle's record. Only the export itself appends
// such an entry (ADR 0054).

const bundleKind = 'export_bundle'
const ofExports = [bundleKind, `${bundleKind}_record`]

/** BUNDLE_NOT_RECORDED, recorded: the success of an export, or a bundle in the outputs, that no export recorded. */
export function refuseUnrecorded(of: RunCase, command: CompleteRun | FailRun | RecordAction): Refusal | undefined {
  const { run } = of
  if (command.type === 'run.record') {
    if (command.bundle_record !== undefined) return undefined
    const allowed = run.open.find(({ decision_id }) => decision_id === command.decision_id)
    if (allowed?.action_type === 'export' && command.outcome === 'success') {
      return refusedAs(
        of,
        command.type,
        'only the export itself records that it succeeded: use "lockstep export create"',
      )
    }
  }
  const invented = (command.output_artifacts ?? []).find((output) => isOfExport(output) && !isIn(run.outputs, output))
  if (invented !== undefined) {
    return refusedAs(of, command.type, `no export of ${run.run_id} recorded the bundle ${invented.artifact_id}`)
  }
  const isExport = run.manifest.run_kind === 'export'
  const hasBundle = run.outputs.some(({ artifact_kind }) => artifact_kind === bundleKind)
  if (command.type !== 'run.complete' || !isExport || hasBundle) return undefined
  return refusedAs(of, command.type, `no export of ${run.run_id} recorded a bundle, so the run cannot complete`)
}

function refusedAs(of: RunCase, command: string, message: string): Refusal {
  return refused(of, { code: 'BUNDLE_NOT_RECORDED', command, message })
}

function isOfExport({ artifact_kind }: ArtifactRef): boolean {
  return ofExports.some((known) => isOfKind(artifact_kind, known))
}

function isIn(outputs: readonly ArtifactRef[], { artifact_id, artifact_kind, hash_sha256 }: ArtifactRef): boolean {
  return outputs.some((known) => {
    return (
      known.artifact_id === artifact_id && known.artifact_kind === artifact_kind && known.hash_sha256 === hash_sha256
    )
  })
}
