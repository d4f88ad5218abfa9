import { percent } from '@/text';
import css from './ui.module.css';

interface Props {
  /** For those who don't see it. */
  label: string;
  /** null: nobody knows. */
  value: number | null;
  /** 0 or absent: no limit, so no bar that fills. */
  max?: number | null;
  /** The figures as text: "1.2 GiB of 4 GiB". */
  text: string;
  /** Where there is no room for the share in words, too: the bar says it. */
  brief?: boolean;
}

/** How much of something is used: figures first, a thin bar below them. */
export function Meter({ label, value, max, text, brief }: Props) {
  const bar = max ? { min: 0, max, now: Math.min(value ?? 0, max) } : undefined;
  const share = max ? Math.min(1, Math.max(0, (value ?? 0) / max)) : 0;
  const tone = share >= 0.95 ? css.trackBad : share >= 0.8 ? css.trackWarn : '';
  return (
    <div className={css.meter}>
      <div className={css.meterText}>
        <span>{text}</span>
        {!!max && value !== null && !brief && <span className="quiet">{percent(share)}</span>}
      </div>
      {bar && (
        <div
          className={`${css.track} ${tone}`}
          role="meter"
          aria-label={label}
          aria-valuemin={bar.min}
          aria-valuemax={bar.max}
          aria-valuenow={bar.now}
          aria-valuetext={text}
          style={{ backgroundSize: `${share * 100}% 100%` }}
        />
      )}
    </div>
  );
}
