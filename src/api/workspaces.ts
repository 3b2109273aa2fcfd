import type { Triplet } from '../domain/turn/triplet.ts'
import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/workspaces.ts'

/** Workspaces: the sovereign state that promoted turns made. A query reads one moment's state, however long it takes. */
export interface WorkspacesApi {
  /** Every promoted stem, in the order of stems. */
  triplets(input: shapes.WorkspaceOfRun | shapes.WorkspaceOfWorkflow, options?: CallOptions): AsyncIterable<Triplet>
  /** The links to each target, in the order of type and id. A target that lost its last link has no sources. */
  refs(
    input: shapes.WorkspaceOfRun | shapes.WorkspaceOfWorkflow,
    options?: CallOptions,
  ): AsyncIterable<shapes.RefSources>
  /** An object by its digest: a body, links, a manifest, or the list of a staged turn. */
  object(input: shapes.OfObject, options?: CallOptions): Promise<shapes.LedgerObject>
  /** The digest of the whole state, now or after the first `at` entries. Cost: one pass over the workspace. */
  digest(input: shapes.DigestOfRun | shapes.DigestOfWorkflow, options?: CallOptions): Promise<shapes.WorkspaceDigest>
  /** A promoted stem, its objects, and the links that point to it. */
  stem(input: shapes.StemOfRun | shapes.StemOfWorkflow, options?: CallOptions): Promise<shapes.ShownStem>
  /** Answers when the files on disk agree with the ledger, or cannot be written for now. */
  files(input?: Nothing, options?: CallOptions): Promise<shapes.FilesState>
  /** Compares the files of a workspace with the ledger. With `rebuild` it first rewrites all of them. */
  check(input: shapes.CheckOfRun | shapes.CheckOfWorkflow, options?: CallOptions): Promise<shapes.ComparedFiles>
  /** Keeps the tree of a run's workspace as a promoted turn left it, by default the last. Cost: a pass over the log. */
  pin(input: shapes.PinTurn, options?: CallOptions): Promise<shapes.PinnedTurn>
  /** Gives up a pin; its files are removed. Cost: one append. */
  unpin(input: shapes.UnpinTurn, options?: CallOptions): Promise<shapes.UnpinnedTurn>
  /** The pins of a workspace, by name. */
  pins(input: shapes.WorkspaceOfRun | shapes.WorkspaceOfWorkflow, options?: CallOptions): Promise<shapes.PinList>
}

const ofWorkspace = { run_id: shapes.ofRun, workflow_id: shapes.ofWorkflow }

export const workspaces: Operations<WorkspacesApi> = {
  triplets: {
    kind: 'stream',
    summary: 'Lists every promoted stem of a workspace.',
    input: ofWorkspace,
    output: shapes.triplet,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  refs: {
    kind: 'stream',
    summary: 'Lists the links to each target of a workspace.',
    input: ofWorkspace,
    output: shapes.ref,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  object: {
    kind: 'query',
    summary: 'Shows an object by its digest.',
    input: shapes.ofObject,
    output: shapes.object,
    errors: ['NOT_FOUND', 'OBJECT_ERASED'],
    grants: anyGrant,
  },
  digest: {
    kind: 'query',
    summary: 'Shows the digest of the whole state of a workspace.',
    input: { run_id: shapes.digestOfRun, workflow_id: shapes.digestOfWorkflow },
    output: shapes.digest,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
    waits: () => true,
  },
  stem: {
    kind: 'query',
    summary: 'Shows a promoted stem and the links that point to it.',
    input: { run_id: shapes.stemOfRun, workflow_id: shapes.stemOfWorkflow },
    output: shapes.shownStem,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  files: {
    kind: 'query',
    summary: 'Waits until the files on disk agree with the ledger.',
    input: nothing,
    output: shapes.filesState,
    errors: [],
    grants: anyGrant,
    waits: () => true,
  },
  check: {
    kind: 'command',
    summary: 'Compares the files of a workspace with the ledger, or rewrites them.',
    input: { run_id: shapes.checkOfRun, workflow_id: shapes.checkOfWorkflow },
    output: shapes.checkedFiles,
    errors: ['NOT_FOUND', 'VERIFY_FAILED', 'FILE_DENIED', 'FILE_FAILED', 'FILE_READ_ONLY'],
    grants: ['agent', 'operator'],
    waits: () => true,
  },
  pin: {
    kind: 'command',
    summary: 'Keeps the tree of a workspace as a promoted turn left it.',
    input: shapes.pin,
    output: shapes.pinned,
    errors: ['NOT_FOUND', 'NOT_RUN_ACTOR', 'PIN_EXISTS'],
    grants: ['agent', 'operator'],
    waits: () => true,
  },
  unpin: {
    kind: 'command',
    summary: 'Gives up a pin and removes its tree.',
    input: shapes.unpin,
    output: shapes.unpinned,
    errors: ['NOT_FOUND', 'NOT_RUN_ACTOR'],
    grants: ['agent', 'operator'],
  },
  pins: {
    kind: 'query',
    summary: 'Lists the pins of a workspace.',
    input: ofWorkspace,
    output: shapes.pinList,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
}
