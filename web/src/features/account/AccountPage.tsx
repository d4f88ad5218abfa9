import { t } from '@/text';
import { PageHeader } from '@/ui';

export default function AccountPage() {
  return <PageHeader title={t('account.title')} />;
}
