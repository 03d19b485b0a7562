// The AWS Encryption SDK for Go, timing itself: one JSON request a line on stdin, one JSON answer a line on stdout.
// What it is asked is in bench/support/peer-process.ts.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	mpl "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mpltypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	esdktypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
)

type request struct {
	ID          int    `json:"id"`
	Operation   string `json:"operation"`
	Suite       int    `json:"suite"`
	FrameLength int64  `json:"frameLength"`
	KeyName     string `json:"keyName"`
	Namespace   string `json:"keyNamespace"`
	Key         string `json:"wrappingKey"`
	Plaintext   string `json:"plaintext"`
	Read        string `json:"read"`
	Write       string `json:"write"`
}

type answer struct {
	ID      int     `json:"id"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

var (
	client    *esdk.Client
	keyring   mpltypes.IKeyring
	suite     mpltypes.ESDKAlgorithmSuiteId
	length    int64
	plaintext []byte
	message   []byte
)

func encrypt() ([]byte, error) {
	output, err := client.Encrypt(context.Background(), esdktypes.EncryptInput{
		Plaintext: plaintext, Keyring: keyring, AlgorithmSuiteId: &suite, FrameLength: &length,
	})
	if err != nil {
		return nil, err
	}
	return output.Ciphertext, nil
}

func decrypt(ciphertext []byte) ([]byte, error) {
	output, err := client.Decrypt(context.Background(), esdktypes.DecryptInput{Ciphertext: ciphertext, Keyring: keyring})
	if err != nil {
		return nil, err
	}
	return output.Plaintext, nil
}

func prepare(asked request) error {
	suite = mpltypes.ESDKAlgorithmSuiteId(fmt.Sprintf("0x%04X", asked.Suite))
	length = asked.FrameLength
	policy := mpltypes.ESDKCommitmentPolicyRequireEncryptRequireDecrypt
	if asked.Suite < 0x0400 {
		policy = mpltypes.ESDKCommitmentPolicyForbidEncryptAllowDecrypt
	}
	key, err := base64.StdEncoding.DecodeString(asked.Key)
	if err != nil {
		return err
	}
	if client, err = esdk.NewClient(esdktypes.AwsEncryptionSdkConfig{CommitmentPolicy: &policy}); err != nil {
		return err
	}
	provider, err := mpl.NewClient(mpltypes.MaterialProvidersConfig{})
	if err != nil {
		return err
	}
	keyring, err = provider.CreateRawAesKeyring(context.Background(), mpltypes.CreateRawAesKeyringInput{
		KeyName: asked.KeyName, KeyNamespace: asked.Namespace, WrappingKey: key,
		WrappingAlg: mpltypes.AesWrappingAlgAlgAes256GcmIv12Tag16,
	})
	if err != nil {
		return err
	}
	if plaintext, err = os.ReadFile(asked.Plaintext); err != nil {
		return err
	}
	theirs, err := os.ReadFile(asked.Read)
	if err != nil {
		return err
	}
	opened, err := decrypt(theirs)
	if err != nil {
		return err
	}
	if !bytes.Equal(opened, plaintext) {
		return errors.New("another plaintext")
	}
	if message, err = encrypt(); err != nil {
		return err
	}
	return os.WriteFile(asked.Write, message, 0o600)
}

func answerTo(asked request) (float64, error) {
	if asked.Operation == "prepare" {
		return 0, prepare(asked)
	}
	start := time.Now()
	var output []byte
	var err error
	if asked.Operation == "encrypt" {
		output, err = encrypt()
	} else {
		output, err = decrypt(message)
	}
	seconds := time.Since(start).Seconds()
	if err == nil && len(output) < len(plaintext) {
		err = errors.New("too short")
	}
	return seconds, err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		seconds, err := answerTo(asked)
		result := answer{ID: asked.ID, Seconds: seconds}
		if err != nil {
			result.Error = err.Error()
		}
		if err := output.Encode(result); err != nil {
			panic(err)
		}
	}
}
