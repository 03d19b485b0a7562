"""The AWS Encryption SDK for Python as a peer: one JSON request a line on stdin, one JSON answer a line on stdout.

Request:  {"id", "operation": "encrypt" | "decrypt", "suite", "keys": [key, ...], "data": base64}
          and to encrypt: "frameLength" (0: non-framed), "encryptionContext"
key:      {"keyNamespace", "keyName", "algorithm", "material": base64 of the key, or PEM}, or
          {"type": a name in KMS_PROVIDERS, and what that provider takes}
Answer:   {"id", "data": base64, "encryptionContext": {...}} or {"id", "error": text}

AWS KMS is reached as the environment says (AWS_ENDPOINT_URL, credentials, AWS_REGION).
"""
import base64
import json

import aws_encryption_sdk
from aws_encryption_sdk.identifiers import (
    AlgorithmSuite,
    CommitmentPolicy,
    EncryptionKeyType,
    WrappingAlgorithm,
)
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.kms import (
    DiscoveryAwsKmsMasterKeyProvider,
    DiscoveryFilter,
    MRKAwareDiscoveryAwsKmsMasterKeyProvider,
    MRKAwareStrictAwsKmsMasterKeyProvider,
    StrictAwsKmsMasterKeyProvider,
)
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from json_lines import serve

SYMMETRIC = {
    "aes-128": WrappingAlgorithm.AES_128_GCM_IV12_TAG16_NO_PADDING,
    "aes-192": WrappingAlgorithm.AES_192_GCM_IV12_TAG16_NO_PADDING,
    "aes-256": WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
}
ASYMMETRIC = {
    "rsa-pkcs1": WrappingAlgorithm.RSA_PKCS1,
    "rsa-oaep-sha1": WrappingAlgorithm.RSA_OAEP_SHA1_MGF1,
    "rsa-oaep-sha256": WrappingAlgorithm.RSA_OAEP_SHA256_MGF1,
    "rsa-oaep-sha384": WrappingAlgorithm.RSA_OAEP_SHA384_MGF1,
    "rsa-oaep-sha512": WrappingAlgorithm.RSA_OAEP_SHA512_MGF1,
}
CLIENTS = {
    policy: aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    for policy in (
        CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    )
}


class FixedKeyProvider(RawMasterKeyProvider):
    """A raw master key provider over exactly one key."""

    provider_id = None

    def __new__(cls, key):
        provider = super(FixedKeyProvider, cls).__new__(cls)
        provider.provider_id = key["keyNamespace"]
        provider.wrapping_key = wrapping_key(key)
        return provider

    def __init__(self, key):
        self.add_master_key(key["keyName"])

    def _get_raw_key(self, key_id):
        return self.wrapping_key


def wrapping_key(key):
    algorithm = key["algorithm"]
    if algorithm in SYMMETRIC:
        material = base64.b64decode(key["material"])
        return WrappingKey(SYMMETRIC[algorithm], material, EncryptionKeyType.SYMMETRIC)
    return WrappingKey(ASYMMETRIC[algorithm], key["material"].encode("ascii"), EncryptionKeyType.PRIVATE)


def discovery_filter(key):
    return DiscoveryFilter(account_ids=key["accounts"], partition=key["partition"]) if "accounts" in key else None


KMS_PROVIDERS = {
    "kms": lambda key: StrictAwsKmsMasterKeyProvider(key_ids=key["keyIds"]),
    "kms-mrk": lambda key: MRKAwareStrictAwsKmsMasterKeyProvider(key_ids=key["keyIds"]),
    "kms-discovery": lambda key: DiscoveryAwsKmsMasterKeyProvider(discovery_filter=discovery_filter(key)),
    "kms-mrk-discovery": lambda key: MRKAwareDiscoveryAwsKmsMasterKeyProvider(
        discovery_region=key["region"], discovery_filter=discovery_filter(key)
    ),
}
KNOWN_PROVIDERS = {}


def new_provider(key):
    return KMS_PROVIDERS[key["type"]](key) if "type" in key else FixedKeyProvider(key)


def provider_of(key):
    """Making a provider takes longer than most messages, so that each is kept."""
    name = json.dumps(key, sort_keys=True)
    if name not in KNOWN_PROVIDERS:
        KNOWN_PROVIDERS[name] = new_provider(key)
    return KNOWN_PROVIDERS[name]


def key_provider(keys):
    if len(keys) == 1:
        return provider_of(keys[0])
    first = new_provider(keys[0])
    for key in keys[1:]:
        first.add_master_key_provider(provider_of(key))
    return first


def answer(request):
    suite = AlgorithmSuite.get_by_id(request["suite"])
    policy = (
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
        if suite.is_committing()
        else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    )
    client = CLIENTS[policy]
    provider = key_provider(request["keys"])
    data = base64.b64decode(request["data"])
    if request["operation"] == "encrypt":
        result, header = client.encrypt(
            source=data,
            key_provider=provider,
            algorithm=suite,
            frame_length=request["frameLength"],
            encryption_context=request["encryptionContext"],
        )
    else:
        result, header = client.decrypt(source=data, key_provider=provider)
    return {"data": base64.b64encode(result).decode("ascii"), "encryptionContext": dict(header.encryption_context)}


serve(answer)
