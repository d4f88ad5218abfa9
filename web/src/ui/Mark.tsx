/** Berth's own mark: a ship at its berth. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden focusable="false">
      <rect width="32" height="32" rx="7" fill="#0b5f8a" />
      <path d="M6 18h20l-3.5 7h-13zM15 7h2v9h-2zM18.5 8.5l6 7.5h-6z" fill="#fff" />
    </svg>
  );
}
