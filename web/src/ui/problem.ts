// What can be said about something that went wrong. Errors of the API have
// these fields; ui knows their shape, not the API.
import { spoken, t, tAny, translated, type TextKey } from '@/text';

interface Telling {
  status?: number;
  code?: string;
  message: string;
  requestId?: string;
  fields?: Record<string, string>;
  details?: Detail[];
}

interface Detail {
  field: string;
  message: string;
  /** The rule that is broken, where it is one that has words of its own. */
  rule?: string;
  params?: Record<string, string>;
}

const byCode: Record<string, TextKey> = {
  UNREACHABLE: 'error.unreachable',
  FORBIDDEN: 'error.forbidden',
  NOT_FOUND: 'error.notFound',
  RATE_LIMITED: 'error.rateLimited',
  INTERNAL_ERROR: 'error.internal',
};

/** Why a job or an instance failed: in the language that is spoken, where somebody wrote that down. */
export function reason(failure: { message?: string }): string {
  const own = failure.message ?? '';
  return translated(own) ?? own;
}

/**
 * The sentence to show: the controller's own, else one that says what to do. Where
 * nobody wrote it down in the language that is spoken, one for its code comes first.
 */
export function sentence(error: unknown): string {
  const told = error as Partial<Telling> | null | undefined;
  const own = told?.code && told.code !== 'INTERNAL_ERROR' ? told.message : '';
  if (!own) return t(byCode[told?.code ?? ''] ?? 'error.unknown');
  const ours = translated(own);
  if (ours) return ours;
  const about = tAny(`error.code_${told?.code ?? ''}`, '');
  const fields = told?.code === 'VALIDATION_ERROR' ? Object.entries(fieldErrors(error)) : [];
  if (spoken() !== 'en' && about && fields.length > 0) return `${about} ${fields.map((each) => each.join(': ')).join('; ')}`;
  return about && spoken() !== 'en' ? `${about} (${own})` : own;
}

/** Whether it is not there (any more) for whoever asks, so that asking again is no use. */
export function isGone(error: unknown): boolean {
  const status = (error as Partial<Telling> | null | undefined)?.status;
  return status === 404 || status === 403;
}

/** What an administrator finds it by in the log; only where it is the controller that failed. */
export function requestId(error: unknown): string {
  const told = error as Partial<Telling> | null | undefined;
  return told?.status !== undefined && told.status >= 500 ? (told.requestId ?? '') : '';
}

/** What is wrong with each field of a form, by its name. */
export function fieldErrors(error: unknown): Record<string, string> {
  const told = error as Partial<Telling> | null | undefined;
  const found = { ...told?.fields };
  const ruled: Record<string, string> = {};
  for (const { field, message, rule, params } of Array.isArray(told?.details) ? told.details : []) {
    const name = field.replace(/^body\./, '');
    // The first that is said of a field is the one that is shown.
    if (rule && found[name] === message) ruled[name] = tAny(`rule.${rule}`, message, { ...params, count: Number(params?.than ?? 0) });
  }
  return Object.fromEntries(Object.entries(found).map(([name, message]) => [name, ruled[name] ?? translated(message) ?? message]));
}
