import { IconStack2 } from '@tabler/icons-react';
import { useState } from 'react';
import { address } from '@/api';
import css from './parts.module.css';

interface Props {
  image: { id: string; icon?: boolean; updated_at: string };
  size?: number;
}

/** An image's icon; the catalogue's own where it has none. */
export function ImageIcon({ image, size = 32 }: Props) {
  const [broken, setBroken] = useState(false);
  if (!image.icon || broken) {
    return (
      <span className={css.iconNone} style={{ width: size, height: size }} aria-hidden>
        <IconStack2 size={size * 0.6} stroke={1.4} />
      </span>
    );
  }
  return <img className={css.icon} src={address('/api/v1/images/{id}/icon', { id: image.id }, { at: image.updated_at })} alt="" width={size} height={size} loading="lazy" decoding="async" onError={() => setBroken(true)} />;
}
