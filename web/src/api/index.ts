// What the rest of the panel knows of the controller.
export { ApiError, address, call, csrfHeader, idempotencyKey, list, once, type Data, type Page, type View } from './client';
export { useAhead } from './ahead';
export { keys } from './keys';
export { live, socketAddress, useLiveState, useLiveStats, type LiveEvent, type LiveState, type LiveStats } from './live';
export { begin, can, end, renew, retryUnreachable, sessionQuery, useCan, useLogout, useMe, useSession, type Permission, type Session } from './session';
export { useLiveLink } from './link';
export { panelQuery, usePanel } from './panel';
export { makePasskey, passkeysSupported, showPasskey } from './passkey';
export { ended, useJob, type Followed } from './follow';
export { ConsoleSocket, type ConsoleLine, type ConsolePhase, type ConsoleSink, type ConsoleState, type Verb } from './console';
export { putIcon } from './images';
export { download, readText, startUpload, writeText, type TextFile } from './files';
