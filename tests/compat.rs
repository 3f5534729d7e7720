//! Old samples of everything we write must still parse.

mod repository {
    //! `tests/fixtures/compat/repository/v1`: what the first version wrote must stay readable.

    use std::path::PathBuf;
    use std::sync::Arc;

    use summitctl::capture::{Fingerprint, FingerprintKey, PartInfo, PartReader, PartSource as _};
    use summitctl::error::Result;
    use summitctl::event::Events;
    use summitctl::identity::Store;
    use summitctl::repository::{
        BackupId, DecodePart, Level, LocalStore, Repository, State, VerifyOptions,
    };
    use summitctl::secret::Secret;
    use summitctl::sign::PublicKey;
    use summitctl::wait::Cancel;

    fn sample(name: &str) -> PathBuf {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.join("tests/fixtures/compat/repository/v1").join(name)
    }

    fn text(name: &str) -> String {
        std::fs::read_to_string(sample(name)).expect("a sample file")
    }

    /// The sample's parts are one row each.
    struct OneRow;

    #[async_trait::async_trait]
    impl DecodePart for OneRow {
        async fn decode(
            &self,
            _: &PartInfo,
            reader: &mut dyn PartReader,
            key: &FingerprintKey,
        ) -> Result<Option<Fingerprint>> {
            let mut rows = key.start();
            rows.add(&reader.read_all().await?);
            Ok(Some(rows.finish()))
        }
    }

    #[tokio::test]
    async fn version_1_opens_verifies_and_reads() {
        let store = Arc::new(LocalStore::new(sample("repository")));
        let secret = Secret::new(text("secret.txt"));
        let host = Repository::open(store, Some(&secret)).await.expect("opens");
        let signer = PublicKey::from_pem(&text("signer.pem")).expect("a key");
        assert_eq!(host.trusted(), [signer]);
        let operator = Secret::new(text("identity.txt"));
        let repository = host.unlock(&operator).await.expect("unlocks");

        let id: BackupId = "20261121T030405Z-9f3a".parse().expect("an id");
        let shown = repository.show(&id).await.expect("is there");
        assert!(shown.is_usable(), "{:?}", shown.problem);
        assert_eq!(shown.verified_level().map(|r| r.level), Some(Level::Rows));
        let options = VerifyOptions {
            jobs: 1,
            events: Events::silent(),
            cancel: Cancel::new(),
        };
        let objects = repository.verify_objects(&id, &options).await;
        assert_eq!(objects.expect("runs").findings, []);
        let rows = repository.verify_rows(&id, &OneRow, &options).await;
        assert_eq!(rows.expect("runs").findings, []);
        let source = repository.source(&id).await.expect("reads");
        let mut users = source
            .open("postgres/app/table/public.users")
            .await
            .expect("a part");
        let bytes = users.read_all().await.expect("reads");
        assert_eq!(bytes, b"1\tada\n2\tgrace\n");

        let staged: BackupId = "20261122T030405Z-0a1b".parse().expect("an id");
        let state = repository.state(&staged).await.expect("looks");
        assert_eq!(state, State::Staged([Store::Redis].into_iter().collect()));
        let captured = repository.staged(&staged).await.expect("is authentic");
        assert_eq!(captured[0].parts[0].name, "redis/0/keys");
    }
}
